"""Device loads and PAR: the hot kernel, on arrays only."""

from __future__ import annotations

import numpy as np

from .deployment import replica_counts

# Blocks of this many iterations keep shares and loads in the cache; 256 to 512 measured best.
BLOCK = 512


class Work:
    """Memory for the kernel's blocks, kept from call to call.

    Fresh arrays of this size go back to the system after every block, and then cost a page fault for every 4 KB.
    """

    def __init__(self) -> None:
        self._values = np.empty(0)

    def arrays(self, experts: int, devices: int, iterations: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Float64 [expert, iteration], and twice [device, iteration]; the next call hands out the same memory."""
        first, second = experts * iterations, (experts + devices) * iterations
        size = second + devices * iterations
        if len(self._values) < size:
            self._values = np.empty(size)
        shares, loads, part = self._values[:first], self._values[first:second], self._values[second:size]
        by_device = (devices, iterations)
        return shares.reshape(experts, iterations), loads.reshape(by_device), part.reshape(by_device)


def device_loads(hotness: np.ndarray, rows: np.ndarray, work: Work | None = None) -> np.ndarray:
    """Load of each device when every expert's hotness is divided evenly over its replicas.

    hotness: [expert, iteration] of one layer; rows: [device, slot] -> expert. Returns float64
    [device, iteration]; each column adds up to the layer's total hotness when every expert has a slot. With `work`, the
    result is valid until its next use. Raises IndexError for an expert that hotness lacks.
    """
    experts, iterations = hotness.shape
    replicas = replica_counts(rows, experts)
    if len(replicas) > experts:
        raise IndexError(f"expert {rows.max()} among {experts} experts")
    shares, loads, part = (work or Work()).arrays(experts, len(rows), iterations)
    # Cast first: numpy divides integers by floats piece by piece, with copies of both.
    np.copyto(shares, hotness)
    divisors, several = replicas.astype(np.float64)[:, None], np.flatnonzero(replicas > 1)
    # Dividing by 1 changes nothing. Where few experts have several replicas, their rows alone are divided.
    if 2 * len(several) < experts:
        shares[several] /= divisors[several]
    else:
        shares /= np.maximum(divisors, 1)
    # No id is out of range: "clip" merely spares numpy a buffer.
    np.take(shares, rows[:, 0], axis=0, out=loads, mode="clip")
    for slot in range(1, rows.shape[1]):
        np.take(shares, rows[:, slot], axis=0, out=part, mode="clip")
        loads += part
    return loads


def par(hotness: np.ndarray, totals: np.ndarray, rows: np.ndarray, work: Work | None = None) -> np.ndarray:
    """PAR of one layer: max(device_loads) * devices / total, for each iteration.

    hotness: [expert, iteration]; totals: exact sums over experts [iteration]; rows: [device, slot].
    Returns float64 [iteration].
    """
    work = work or Work()
    iterations = hotness.shape[1]
    result = np.empty(iterations)
    # Of one size: a short last block costs nearly as much as a long one.
    size = -(-iterations // max(round(iterations / BLOCK), 1))
    for first in range(0, iterations, max(size, 1)):
        block = slice(first, min(first + size, iterations))
        device_loads(hotness[:, block], rows, work).max(axis=0, out=result[block])
    result *= len(rows)
    result /= totals
    return result
