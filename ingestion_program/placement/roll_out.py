"""What an iteration's wait of one layer costs: measured PAR less what the new rows would have given."""

from __future__ import annotations

import numpy as np

from . import balance
from .grid import Case
from .trace import Hotness


def fixed_iterations(case: Case, iterations: int) -> int:
    """How many iterations, from 1 on, every policy spends under the initial deployment.

    The first call comes in iteration window + 1, its first layer is applied latency + 1 later, after PAR was measured.
    """
    return min(case.window + 2 + case.latency, iterations)


def waiting(case: Case, iterations: int, call: int, applied: int) -> slice:
    """Where a layer waits for its new rows: after its call, and after the fixed iterations, until it is applied.

    A layer that is applied at once, in the last fixed iteration, gains what it would have there.
    """
    return slice(min(max(call, fixed_iterations(case, iterations)), applied - 1), applied)


def gain(
    trace: Hotness, old: np.ndarray, layer: int, seen: slice, rows: np.ndarray, work: balance.Work | None = None
) -> float:
    """Mean of `old`, the layer's PAR in the iterations `seen`, less its PAR with the new rows."""
    hotness, totals = trace.stretch(layer, seen.start, seen.stop)
    return float((old - balance.par(hotness, totals, rows, work)).mean())
