"""After packing: exchanges with the busiest device until none helps, with the kit's `planning.exchange`.

Measured on public DeepSeek-R1 counts: see the lab's README.
"""

from __future__ import annotations

import numpy as np

from planning.exchange import exchange
from planning.risk import Forecast

# Smaller gains, as a part of the mean load of a device, are rounding.
LEAST = 1e-8


def levelled(table: np.ndarray, weight: np.ndarray, fixed: int | None = None) -> np.ndarray:
    """Exchange experts of the busiest device for others as long as that helps.

    table: int [device, slot] -> expert, -1 where a slot is empty; weight: what one replica of each expert adds to its
    device, [expert]; fixed: an expert whose replicas stay where they are. Every expert keeps its number of replicas; no
    device comes to hold one twice. Returns int64 [device, slot].
    """
    table, weight = np.array(table, np.int64), np.asarray(weight, np.float64)
    if not weight.sum():
        return table
    empty = len(weight)
    filled = np.where(table < 0, empty, table)
    if fixed is not None:
        # Every device holds one more, so that none can take another: the same load on all of them.
        filled = np.column_stack([filled, np.full(len(table), fixed)])
    count = np.bincount(filled.ravel(), minlength=empty + 1)
    load = np.append(weight, 0.0) * count
    forecast = Forecast(load[None] / load.sum(), np.zeros((1, empty + 1)), np.zeros((0, 1, empty + 1)), 0.0, 0.0)
    better = exchange(forecast, filled[None], 10 * filled.size, LEAST)[0][:, : table.shape[1]]
    return np.where(better == empty, -1, better)
