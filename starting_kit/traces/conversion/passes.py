"""Forward passes: what each rank counted of them, summed."""

from __future__ import annotations

import numpy as np

from placement.errors import OrganizerError
from placement.trace import LARGEST_HOTNESS

from .recording import counted, ranges


class Passes:
    """Sums over ranks, of one pass after another and one rank after another, in any order."""

    def __init__(self) -> None:
        self._sums: dict[int, np.ndarray] = {}
        self._records: dict[int, set[tuple[int, str]]] = {}
        self._counted: dict[int, set[int]] = {}

    def add(self, number: int, rank: int, gatherer: str, counts: np.ndarray, where: str) -> None:
        """Add what a rank counted, int64 [layer, expert], in the pass of this number.

        gatherer: name of the part of the pass, for engines that split a pass in two batches; the shape of counts is
        always the same. Raises OrganizerError for a record that was added before, and a sum above 2^31 - 1.
        """
        records = self._records.setdefault(number, set())
        if (rank, gatherer) in records:
            got = f"forward_pass_id {number} of rank {rank}, gatherer_key {gatherer} again"
            raise OrganizerError(
                "a record is there twice", got, "each once", "leave out the file that repeats it", where
            )
        records.add((rank, gatherer))
        total = self._sums.get(number)
        total = counts if total is None else total + counts
        if total.max() > LARGEST_HOTNESS:
            layer, expert = np.argwhere(total > LARGEST_HOTNESS)[0]
            got = f"{total[layer, expert]} at layer {layer}, expert {expert} (from 0), summed over ranks"
            raise OrganizerError("a count is out of range", got, f"0 .. {LARGEST_HOTNESS}", "record again", where)
        self._sums[number] = total.astype(np.int32)
        self._counted.setdefault(number, set()).add(hash(counts.tobytes()))

    def ranks(self) -> list[int]:
        """The ranks of all records, ascending."""
        return sorted({rank for records in self._records.values() for rank, _ in records})

    def take(self, skip_incomplete: bool) -> tuple[np.ndarray, list[str]]:
        """int32 [pass, layer, expert] in order of the passes' numbers, and notes; nothing is kept here.

        skip_incomplete: leave out the passes that a rank has no record of. Raises OrganizerError when there are such
        and they are to be kept, when a rank is missing altogether, and when nothing is left.
        """
        ranks = self.ranks()
        self._refuse_absent_rank(ranks)
        incomplete = [number for number in sorted(self._sums) if len(self._ranks_of(number)) < len(ranks)]
        if incomplete and not skip_incomplete:
            number = incomplete[0]
            lacking = ranges(sorted(set(ranks) - self._ranks_of(number)))
            raise OrganizerError(
                "a pass was not recorded by every rank",
                f"no record of forward_pass_id {number} by rank {lacking}; {len(incomplete)} of"
                f" {counted(len(self._sums), 'pass')} are incomplete",
                f"a record by each of ranks {ranges(ranks)}",
                "give every rank's file, or --skip-incomplete to leave such passes out",
                "passes",
            )
        kept = sorted(set(self._sums) - set(incomplete))
        if not kept:
            got, expected = f"{counted(len(incomplete), 'pass')}, each incomplete", "a pass recorded by every rank"
            raise OrganizerError("no pass is left", got, expected, "give every rank's file of one recording", "passes")
        notes = self._notes(ranks, kept, incomplete)
        hotness = np.empty((len(kept), *self._sums[kept[0]].shape), np.int32)
        for row, number in enumerate(kept):
            hotness[row] = self._sums.pop(number)
        return hotness, notes

    def _ranks_of(self, number: int) -> set[int]:
        return {rank for rank, _ in self._records[number]}

    def _refuse_absent_rank(self, ranks: list[int]) -> None:
        if len(ranks) <= ranks[-1]:
            absent = next(rank for rank in range(len(ranks)) if rank != ranks[rank])
            got, expected = f"records of ranks {ranges(ranks)}", f"ranks 0 .. {ranks[-1]}"
            raise OrganizerError(
                "a rank's file is missing", got, expected, f"give the file of rank {absent} too", "passes"
            )

    def _notes(self, ranks: list[int], kept: list[int], incomplete: list[int]) -> list[str]:
        notes = [f"summed over {counted(len(ranks), 'rank')}; forward_pass_id {kept[0]} .. {kept[-1]} in order"]
        gaps = kept[-1] - kept[0] + 1 - len(set(kept) | {n for n in incomplete if kept[0] < n < kept[-1]})
        if gaps:
            notes.append(f"{counted(gaps, 'pass')} between the first and the last have no record by any rank")
        if incomplete:
            notes.append(f"incomplete passes left out: {ranges(incomplete)}")
        if len(ranks) > 1 and all(len(self._counted[number]) == 1 for number in kept):
            notes.append(
                f"every rank counted the same in every pass, as without DP attention, where each sees every token: the"
                f" counts are {len(ranks)} times the tokens"
            )
        return notes
