"""Counts that come in pieces: of one layer in one iteration on one rank each, added up to a recording."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from placement.errors import OrganizerError
from placement.trace import LARGEST_HOTNESS

from .counts import as_counts, float_note
from .ranks import refuse_absent
from .recording import counted, ranges


class Tally:
    """Sums over ranks, of pieces in any order. Iterations are known by anything that sorts, layers by their numbers."""

    def __init__(self, noun: str = "iteration") -> None:
        """noun: what the file calls an iteration."""
        self._noun = noun
        self._sums: dict[Hashable, dict[int, np.ndarray]] = {}
        self._pieces: dict[Hashable, dict[int, dict[int, int]]] = {}
        self._floats: dict[str, None] = {}
        self._first: tuple[int, str] | None = None

    def add(
        self, iteration: Hashable, layer: int, rank: int, counts: np.ndarray, where: str, again: bool = False
    ) -> None:
        """Add what a rank counted of a layer's experts, integers [expert].

        again: one rank may have several pieces of a layer in an iteration. Raises OrganizerError for a piece that is
        there twice otherwise, another number of experts than in the pieces before, and sums above 2^31 - 1.
        """
        stored = counts.dtype
        counts = as_counts(counts, where, ("expert",), floats=True).astype(np.int64)
        self._floats |= dict.fromkeys(float_note(stored, int(counts.max(initial=0))))
        self._first = self._first or (len(counts), where)
        if len(counts) != self._first[0]:
            expected = f"{self._first[0]}, as in {self._first[1]}"
            raise _wrong("a layer has another number of experts", str(len(counts)), expected, where)
        pieces = self._pieces.setdefault(iteration, {}).setdefault(layer, {})
        if rank in pieces and not again:
            got = f"{self._noun} {_shown(iteration)}, layer {layer} of rank {rank} again"
            raise _wrong("a record is there twice", got, "each once", where)
        pieces[rank] = pieces.get(rank, 0) + 1
        sums = self._sums.setdefault(iteration, {})
        total = counts + sums[layer] if layer in sums else counts
        if total.max(initial=0) > LARGEST_HOTNESS:
            got, expected = f"{total.max()} of expert {total.argmax()}, summed over ranks", f"0 .. {LARGEST_HOTNESS}"
            raise _wrong("a count is out of range", got, expected, where)
        sums[layer] = total.astype(np.int32)

    def drop(self, iteration: Hashable) -> None:
        """Forget an iteration."""
        del self._sums[iteration], self._pieces[iteration]

    def take(self, skip_incomplete: bool) -> tuple[np.ndarray, tuple[int, ...], list[str]]:
        """int32 [iteration, layer, expert] in order of the iterations, the layers' numbers, and notes.

        skip_incomplete: leave out iterations in which a layer, or a rank that has the layer elsewhere, is missing, or
        has other pieces than elsewhere in the iteration. Raises OrganizerError when there are such and they are to be
        kept, when a rank is missing altogether, and when nothing is left. Nothing is kept here.
        """
        layers = sorted({layer for pieces in self._pieces.values() for layer in pieces})
        having: dict[int, set[int]] = {layer: set() for layer in layers}
        for pieces in self._pieces.values():
            for layer, ranks in pieces.items():
                having[layer] |= ranks.keys()
        ranks = sorted(set().union(*having.values()))
        refuse_absent(ranks)
        order = sorted(self._sums)  # type: ignore[type-var]
        lacking = {iteration: text for iteration in order if (text := self._lack(iteration, layers, having))}
        if lacking and not skip_incomplete:
            iteration, text = next(iter(lacking.items()))
            some = len(lacking) < len(order)
            raise OrganizerError(
                f"{_article(self._noun)} {self._noun} is not complete",
                f"{text} in {self._noun} {_shown(iteration)}; {len(lacking)} of {counted(len(order), self._noun)} are"
                " incomplete",
                "every layer by every rank that has it",
                "give every rank's file"
                + f", or --skip-incomplete to leave such {counted(2, self._noun)[2:]} out" * some,
                "input",
            )
        kept = [iteration for iteration in order if iteration not in lacking]
        if not kept:
            got = f"{counted(len(order), self._noun)}, each incomplete" if order else "no record"
            next_step = "give every rank's file of one recording"
            raise OrganizerError("nothing is left", got, f"a complete {self._noun}", next_step, "input")
        hotness = np.empty((len(kept), len(layers), self._first[0] if self._first else 0), np.int32)
        for row, iteration in enumerate(kept):
            sums = self._sums.pop(iteration)
            for place, layer in enumerate(layers):
                hotness[row, place] = sums[layer]
        return hotness, tuple(layers), self._notes(ranks, kept, list(lacking))

    def _lack(self, iteration: Hashable, layers: Sequence[int], having: dict[int, set[int]]) -> str:
        """What an iteration lacks, in words; empty where nothing is missing."""
        pieces = self._pieces[iteration]
        for layer in layers:
            if missing := having[layer] - pieces.get(layer, {}).keys():
                return f"no record of layer {layer} by rank {ranges(sorted(missing))}"
        several: dict[int, set[int]] = {}
        for ranks in pieces.values():
            for rank, number in ranks.items():
                several.setdefault(rank, set()).add(number)
        uneven = next((rank for rank, numbers in several.items() if len(numbers) > 1), None)
        return "" if uneven is None else f"{ranges(sorted(several[uneven]))} records of a layer by rank {uneven}"

    def _notes(self, ranks: list[int], kept: list[Hashable], lacking: list[Hashable]) -> list[str]:
        noun = self._noun
        notes = [f"{noun} {_shown(kept[0])} .. {_shown(kept[-1])} in order, summed over {counted(len(ranks), 'rank')}"]
        if all(isinstance(number, int) for number in kept):
            between = set(range(kept[0], kept[-1] + 1)) - set(kept) - set(lacking)  # type: ignore[call-overload]
            if between:
                notes.append(f"{counted(len(between), noun)} between the first and the last have no record")
        if lacking:
            shown = ", ".join(_shown(iteration) for iteration in lacking[:8]) + (", ..." if len(lacking) > 8 else "")
            notes.append(f"incomplete and left out: {noun} {shown}")
        return [*notes, *self._floats]


def _shown(iteration: Hashable) -> str:
    return ".".join(map(str, iteration)) if isinstance(iteration, tuple) else str(iteration)


def _article(noun: str) -> str:
    return "an" if noun[0] in "aeiou" else "a"


def _wrong(what: str, got: str, expected: str, where: str) -> OrganizerError:
    return OrganizerError(what, got, expected, "convert the files of one recording, each once", where)
