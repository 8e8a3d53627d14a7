"""Device loads and PAR: the hot kernel, on arrays only."""

from __future__ import annotations

from collections.abc import Sequence

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

    def arrays(self, iterations: int, *rows: int) -> list[np.ndarray]:
        """Float64 [number, iteration] for each number of rows; the next call hands out the same memory."""
        size = sum(rows) * iterations
        if len(self._values) < size:
            self._values = np.empty(size)
        parts, first = [], 0
        for number in rows:
            last = first + number * iterations
            parts.append(self._values[first:last].reshape(number, iterations))
            first = last
        return parts


class _Layout:
    """Where a layer's device loads come from: slots that hold an expert's only replica, and shares of the others.

    Shares lie behind all experts' hotness, in the order of `several`.
    """

    def __init__(self, rows: np.ndarray, experts: int) -> None:
        """rows: [device, slot]. Raises IndexError for an expert that is not there."""
        replicas = replica_counts(rows, experts)
        if len(replicas) > experts:
            raise IndexError(f"expert {rows.max()} among {experts} experts")
        self.devices = len(rows)
        self.several = (replicas > 1).nonzero()[0]
        self._divisors = replicas[self.several].astype(np.float64)[:, None]
        places = np.arange(experts)
        places[self.several] = np.arange(experts, experts + len(self.several))
        self._slots = np.ascontiguousarray(places[rows].T)

    def loads(self, shares: np.ndarray, loads: np.ndarray, part: np.ndarray) -> np.ndarray:
        """Fill `loads` [device, iteration]; part: of its size; shares: [place, iteration], the hotness filled in."""
        several = len(self.several)
        if several:
            behind = shares[len(shares) - several :]
            # No place is out of range: "clip" merely spares numpy a buffer.
            shares.take(self.several, axis=0, out=behind, mode="clip")
            behind /= self._divisors
        first, *others = self._slots
        shares.take(first, axis=0, out=loads, mode="clip")
        for slot in others:
            shares.take(slot, axis=0, out=part, mode="clip")
            loads += part
        return loads


def device_loads(hotness: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Load of each device when every expert's hotness is divided evenly over its replicas.

    hotness: [expert, iteration] of one layer; rows: [device, slot] -> expert. Returns float64
    [device, iteration]; each column adds up to the layer's total hotness when every expert has a slot. Raises
    IndexError for an expert that hotness lacks.
    """
    experts, iterations = hotness.shape
    layout = _Layout(rows, experts)
    shares, loads, part = Work().arrays(iterations, experts + len(layout.several), len(rows), len(rows))
    shares[:experts] = hotness
    return layout.loads(shares, loads, part)


def par(hotness: np.ndarray, totals: np.ndarray, rows: np.ndarray, work: Work | None = None) -> np.ndarray:
    """PAR of one layer: max(device_loads) * devices / total, for each iteration.

    hotness: [expert, iteration]; totals: exact sums over experts [iteration]; rows: [device, slot].
    Returns float64 [iteration]. Raises IndexError for an expert that hotness lacks.
    """
    return pars(hotness, totals, [rows], work or Work())[0]


def pars(hotness: np.ndarray, totals: np.ndarray, tables: Sequence[np.ndarray], work: Work) -> list[np.ndarray]:
    """PAR of one layer under each of several deployments, as `par`; tables: rows [device, slot] of each."""
    experts, iterations = hotness.shape
    layouts = [_Layout(rows, experts) for rows in tables]
    several, devices = (max(sizes) for sizes in zip(*((len(one.several), one.devices) for one in layouts), strict=True))
    results = [np.empty(iterations) for _ in tables]
    # Of one size: a short last block costs nearly as much as a long one.
    size = -(-iterations // max(round(iterations / BLOCK), 1))
    for first in range(0, iterations, max(size, 1)):
        block = slice(first, min(first + size, iterations))
        shares, loads, part = work.arrays(block.stop - first, experts + several, devices, devices)
        # Cast once for all: numpy divides integers by floats piece by piece, with copies of both.
        shares[:experts] = hotness[:, block]
        for layout, result in zip(layouts, results, strict=True):
            places, rows = experts + len(layout.several), layout.devices
            np.maximum.reduce(layout.loads(shares[:places], loads[:rows], part[:rows]), axis=0, out=result[block])
    for layout, result in zip(layouts, results, strict=True):
        result *= layout.devices
        result /= totals
    return results
