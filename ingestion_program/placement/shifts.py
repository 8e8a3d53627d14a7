"""How far the loads shift over a trace: where they switch, whatever a policy does about it."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np

from .trace import Hotness

# Of each bin so many iterations in its middle are looked at, so that little of a trace is read.
SAMPLE = 8
# All cases of a trace have the same: by trace, the bins and what was found last.
KEPT: WeakKeyDictionary[Hotness, tuple[bytes, np.ndarray]] = WeakKeyDictionary()


def samples(starts: np.ndarray, iterations: int) -> list[tuple[int, int]]:
    """The iterations (first, last + 1), from 0, that are looked at of each bin."""
    middles = (starts + np.append(starts[1:], iterations)) // 2
    firsts = np.maximum(middles - SAMPLE // 2, 0).tolist()
    return [(first, min(first + SAMPLE, iterations)) for first in firsts]


def shifts(trace: Hotness, starts: np.ndarray) -> np.ndarray:
    """Total variation between the loads of the two bins before each bin and of the two after: float64 [bin], 0 to 1.

    Mean over layers, in shares of a layer's load; 0 for the first and last two bins. starts: first iteration of each
    bin, from 0. A switch is a peak; noise and drift give much the same everywhere.
    """
    bins, found = KEPT.get(trace, (b"", np.empty(0)))
    if bins != starts.tobytes():
        found = _apart(trace, starts)
        KEPT[trace] = starts.tobytes(), found
    return found.copy()


def _apart(trace: Hotness, starts: np.ndarray) -> np.ndarray:
    loads = np.empty((len(starts), trace.layers, trace.experts))
    for place, ends in enumerate(samples(starts, trace.iterations)):
        loads[place] = trace.sums(*ends)
    loads /= loads.sum(axis=2, keepdims=True)
    apart = np.zeros(len(starts))
    if len(starts) > 4:
        before, after = loads[:-4] + loads[1:-3], loads[3:-1] + loads[4:]
        # Half the sum of differences, of means of two.
        apart[2:-2] = np.abs(before - after).sum(axis=2).mean(axis=1) / 4
    return apart
