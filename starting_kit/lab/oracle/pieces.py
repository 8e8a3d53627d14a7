"""A plan solved in pieces: the replicas that a row of the grid has, laid out anew over the row's devices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import lcm

import numpy as np

from ..serving.measures import even_loads
from ..serving.torus import Torus
from .cp_sat import LARGEST
from .outcome import Outcome

# (load, devices, slots, start, counts) -> the best table of the piece
Solver = Callable[..., Outcome]


@dataclass(frozen=True, eq=False)
class Row:
    """A row of the grid, before and after. before, after, bound: its largest device load by the grid's mean one."""

    before: float
    after: float
    bound: float
    table: np.ndarray


def solved_row(table: np.ndarray, load: np.ndarray, torus: Torus, row: int, solver: Solver) -> Row:
    """Lay the replicas of a row out anew, so that its largest device load is least.

    table: int [device, slot] of the whole grid; load: integers [expert]; solver: least_load or least_load_cp, with a
    budget. Every replica keeps its even part of the expert's load, as the other rows' replicas do not move. Raises what
    the solver raises.
    """
    piece = table[row * torus.cols : (row + 1) * torus.cols]
    experts, counts = np.unique(piece[piece >= 0], return_counts=True)
    everywhere = np.bincount(table[table >= 0], minlength=len(load))[experts]
    # Parts of loads in whole numbers, for solvers of integers; rounded where experts have dozens of replicas.
    unit = min(lcm(*everywhere.tolist()), max(1, LARGEST // max(1, int(np.sum(load)))))
    parts = np.rint(np.asarray(load)[experts] * (counts * unit / everywhere)).astype(np.int64)
    start = np.where(piece < 0, -1, np.searchsorted(experts, piece))
    outcome = solver(parts, torus.cols, table.shape[1], start, counts=counts)
    mean = unit * float(np.sum(load)) / torus.devices
    laid = np.where(outcome.table < 0, -1, experts[outcome.table])
    before = even_loads(start, parts).max() / mean
    return Row(float(before), outcome.objective / mean, outcome.bound / mean, laid)
