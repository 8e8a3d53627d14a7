"""What an oracle answers: the best table found, and a bound below which no table can be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Values that are equal but for rounding, and what MILP solvers leave of a gap.
EQUAL = 1e-9


@dataclass(frozen=True, eq=False)
class Outcome:
    """The best table that was found.

    table: int64 [device, slot] -> expert, -1 where a slot is empty; objective: its value, which the oracle's function
    defines; bound: no table has a smaller one; work: nodes or tables that were looked at.
    """

    table: np.ndarray
    objective: float
    bound: float
    work: int

    @property
    def gap(self) -> float:
        """How far the objective may lie above the optimum, as a part of the bound; 0: the optimum."""
        return gap_to(self.objective, self.bound)

    @property
    def proven(self) -> bool:
        """Whether the table is an optimum but for rounding."""
        return self.gap <= 2 * EQUAL


def gap_to(value: float, least: float) -> float:
    """How far a value lies above the least one, as a part of the least one; 0 where both are 0."""
    above = max(value - least, 0.0)
    return above / abs(least) if least else (np.inf if above else 0.0)
