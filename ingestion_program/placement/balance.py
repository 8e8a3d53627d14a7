"""Device loads and PAR: the hot kernel, on arrays only."""

from __future__ import annotations

import numpy as np

from .deployment import replica_counts

# Blocks of this many iterations keep the gathered loads in the cache; 256 to 512 measured best.
BLOCK = 512


def device_loads(hotness: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Load of each device when every expert's hotness is divided evenly over its replicas.

    hotness: [expert, iteration] of one layer; rows: [device, slot] -> expert. Returns float64
    [device, iteration]; each column adds up to the layer's total hotness when every expert has a slot.
    """
    replicas = np.maximum(replica_counts(rows, len(hotness)), 1)
    per_replica = hotness / replicas[:, None].astype(np.float64)
    loads = per_replica[rows[:, 0]]
    part = np.empty_like(loads)
    for slot in range(1, rows.shape[1]):
        np.take(per_replica, rows[:, slot], axis=0, out=part, mode="clip")
        loads += part
    return loads


def par(hotness: np.ndarray, totals: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """PAR of one layer: max(device_loads) * devices / total, for each iteration.

    hotness: [expert, iteration]; totals: exact sums over experts [iteration]; rows: [device, slot].
    Returns float64 [iteration].
    """
    iterations = hotness.shape[1]
    result = np.empty(iterations)
    for first in range(0, iterations, BLOCK):
        block = slice(first, min(first + BLOCK, iterations))
        device_loads(hotness[:, block], rows).max(axis=0, out=result[block])
    result *= len(rows)
    result /= totals
    return result
