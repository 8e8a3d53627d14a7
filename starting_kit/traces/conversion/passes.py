"""Forward passes: what each rank counted of them, summed."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from placement.errors import OrganizerError
from placement.trace import LARGEST_HOTNESS

from .ranks import refuse_absent
from .recording import counted, ranges


class Passes:
    """Sums over ranks, of one pass after another and one rank after another, in any order."""

    def __init__(self) -> None:
        self._sums: dict[int, np.ndarray] = {}
        # The layers with tokens of each record, of a pipeline's stages one after the other.
        self._records: dict[int, dict[tuple[int, str], list[np.ndarray]]] = {}
        self._counted: dict[int, dict[int, list[int]]] = {}

    def add(self, number: int, rank: int, gatherer: str, counts: np.ndarray, where: str) -> None:
        """Add what a rank counted, int64 [layer, expert], in the pass of this number.

        gatherer: name of the part of the pass, for engines that split a pass in two batches; the shape of counts is
        always the same. Records of one rank and pass with tokens in disjoint layers are of a pipeline's stages. Raises
        OrganizerError for a record that was added before, and a sum above 2^31 - 1.
        """
        stages = self._records.setdefault(number, {}).setdefault((rank, gatherer), [])
        routed = counts.any(axis=1)
        if any((routed & stage).any() for stage in stages):
            got = f"forward_pass_id {number} of rank {rank}, gatherer_key {gatherer} again"
            raise OrganizerError(
                "a record is there twice", got, "each once", "leave out the file that repeats it", where
            )
        stages.append(routed)
        total = self._sums.get(number)
        total = counts if total is None else total + counts
        if total.max() > LARGEST_HOTNESS:
            layer, expert = np.argwhere(total > LARGEST_HOTNESS)[0]
            got = f"{total[layer, expert]} at layer {layer}, expert {expert} (from 0), summed over ranks"
            raise OrganizerError("a count is out of range", got, f"0 .. {LARGEST_HOTNESS}", "record again", where)
        self._sums[number] = total.astype(np.int32)
        self._counted.setdefault(number, {}).setdefault(rank, []).append(hash(counts.tobytes()))

    def ranks(self) -> list[int]:
        """The ranks of all records, ascending."""
        return sorted({rank for records in self._records.values() for rank, _ in records})

    def take(self, skip_incomplete: bool, silent: Collection[int] = ()) -> tuple[np.ndarray, list[str]]:
        """int32 [pass, layer, expert] in order of the passes' numbers, and notes; nothing is kept here.

        skip_incomplete: leave out the passes that a rank has no record of; silent: ranks whose files hold no record.
        Raises OrganizerError when there are such passes and they are to be kept, when a rank's file is missing, and
        when nothing is left.
        """
        ranks = self.ranks()
        refuse_absent(sorted({*ranks, *silent}))
        stages = self._stages()
        incomplete = [n for n in sorted(self._sums) if len(self._ranks_of(n)) < len(ranks) or self._lacks(n, stages)]
        if incomplete and not skip_incomplete:
            number = incomplete[0]
            lacking = "rank " + ranges(sorted(set(ranks) - self._ranks_of(number)))
            if lacking == "rank ":
                lacking = f"one of the {stages} stages of rank {self._lacks(number, stages)[0]}"
            raise OrganizerError(
                "a pass was not recorded by every rank",
                f"no record of forward_pass_id {number} by {lacking}; {len(incomplete)} of"
                f" {counted(len(self._sums), 'pass')} are incomplete",
                f"a record by each of ranks {ranges(ranks)}",
                "give every rank's file"
                + ", or --skip-incomplete to leave such passes out" * (len(incomplete) < len(self._sums)),
                "passes",
            )
        kept = sorted(set(self._sums) - set(incomplete))
        if not kept:
            got, expected = f"{counted(len(incomplete), 'pass')}, each incomplete", "a pass recorded by every rank"
            raise OrganizerError("no pass is left", got, expected, "give every rank's file of one recording", "passes")
        notes = self._notes(ranks, kept, incomplete)
        if stages > 1:
            notes.append(f"records of disjoint layers joined, as of {stages} stages of a pipeline")
        hotness = np.empty((len(kept), *self._sums[kept[0]].shape), np.int32)
        for row, number in enumerate(kept):
            hotness[row] = self._sums.pop(number)
        return hotness, notes

    def _ranks_of(self, number: int) -> set[int]:
        return {rank for rank, _ in self._records[number]}

    def _stages(self) -> int:
        """The stages of the pipeline; 1 without one."""
        return max(len(stages) for records in self._records.values() for stages in records.values())

    def _lacks(self, number: int, stages: int) -> list[int]:
        """The ranks that did not record all stages of a pass."""
        return [rank for (rank, _), recorded in self._records[number].items() if len(recorded) < stages]

    def _alike(self, number: int) -> bool:
        """Whether all ranks counted the same in a pass."""
        return len({tuple(sorted(counts)) for counts in self._counted[number].values()}) == 1

    def _notes(self, ranks: list[int], kept: list[int], incomplete: list[int]) -> list[str]:
        notes = [f"summed over {counted(len(ranks), 'rank')}; forward_pass_id {kept[0]} .. {kept[-1]} in order"]
        gaps = kept[-1] - kept[0] + 1 - len(set(kept) | {n for n in incomplete if kept[0] < n < kept[-1]})
        if gaps:
            notes.append(f"{counted(gaps, 'pass')} between the first and the last have no record by any rank")
        if incomplete:
            notes.append(f"incomplete passes left out: {ranges(incomplete)}")
        if len(ranks) > 1 and all(self._alike(number) for number in kept):
            notes.append(
                f"every rank counted the same in every pass, as without DP attention, where each sees every token: the"
                f" counts are {len(ranks)} times the tokens; --divide {len(ranks)} makes them tokens"
            )
        return notes
