"""What a search may not do: change more slots than a budget, or load a row beyond a cap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

# Loads that are equal but for rounding.
ROUNDING = 1e-9


class Arrangement(Protocol):
    """Where replicas lie: replica_in [flat slot], -1 where it is empty, and expert [replica], the last entry -1."""

    replica_in: np.ndarray
    expert: np.ndarray


class Limit(Protocol):
    """A limit on the tables of a search."""

    def allows(self, state: Arrangement, first: int, second: int) -> bool:
        """Whether the limit allows the exchange of two flat slots."""
        ...

    def refusal(self, state: Arrangement) -> tuple[str, str] | None:
        """What breaks the limit in the table as it stands, and what was expected; None where nothing does."""
        ...


@dataclass(frozen=True, eq=False)
class MovedSlots:
    """At most so many slots hold another expert than at the start. start: [flat slot] -> expert, -1 where empty."""

    start: np.ndarray
    most: int

    def allows(self, state: Arrangement, first: int, second: int) -> bool:
        """Whether the table stays within the budget after an exchange of two slots."""
        now = state.expert[state.replica_in]
        now[[first, second]] = now[[second, first]]
        return int(np.count_nonzero(now != self.start)) <= self.most

    def refusal(self, state: Arrangement) -> tuple[str, str] | None:
        """What the table has and what is expected, where that is too much."""
        moved = int(np.count_nonzero(state.expert[state.replica_in] != self.start))
        return (f"{moved} slots with another expert", f"at most {self.most}") if moved > self.most else None


@dataclass(frozen=True, eq=False)
class RowCap:
    """No row of devices serves more than so many times the mean of the rows.

    load: tokens of each replica over all batches, with 0 for an empty slot at the end; rows: of the grid; most: such as
    1.05.
    """

    load: np.ndarray
    rows: int
    most: float

    def allows(self, state: Arrangement, first: int, second: int) -> bool:
        """Whether the two rows stay below the cap after an exchange of two slots."""
        carried = self._carried(state)
        size = len(state.replica_in) // self.rows
        more = self.load[state.replica_in[second]] - self.load[state.replica_in[first]]
        if first // size == second // size or not more:
            return True
        gains, value = (first // size, more) if more > 0 else (second // size, -more)
        return bool(carried[gains] + value <= self.most * carried.mean() * (1 + ROUNDING))

    def refusal(self, state: Arrangement) -> tuple[str, str] | None:
        """What the table has and what is expected, where that is too much."""
        carried = self._carried(state)
        row, share = int(carried.argmax()), float(carried.max() / max(carried.mean(), 1.0))
        if share <= self.most * (1 + ROUNDING):
            return None
        return f"row {row} serves {share:.4g} times the mean of the rows", f"at most {self.most:g} (--row-cap)"

    def _carried(self, state: Arrangement) -> np.ndarray:
        return self.load[state.replica_in].reshape(self.rows, -1).sum(axis=1)
