"""What mean PAR above 1 is made of, as far as the replay alone can say: seconds of a case split where they arise.

The page *Evaluation* has the definitions; the scorer turns parts into seconds and takes the rest from the reference.
"""

from __future__ import annotations

import math

import numpy as np

from . import balance
from .exact_sum import exact_sum
from .grid import Case
from .replay import Replay
from .trace import Trace


def fixed_iterations(case: Case, iterations: int) -> int:
    """How many iterations, from 1 on, every policy spends under the initial deployment.

    The first call comes in iteration window + 1, its first layer is applied latency + 1 later, after PAR was measured.
    """
    return min(case.window + 2 + case.latency, iterations)


def fixed_par(par: np.ndarray, case: Case) -> float:
    """The fixed iterations' part of mean PAR above 1; par: [iteration, layer] of the whole trace."""
    return _part(par[: fixed_iterations(case, len(par))], par.size)


def later_par(par: np.ndarray, case: Case) -> float:
    """The part of all iterations after the fixed ones."""
    return _part(par[fixed_iterations(case, len(par)) :], par.size)


def _part(par: np.ndarray, whole: int) -> float:
    """What lies above 1, as a part of the mean over `whole` values; exactly rounded: no order decides a digit."""
    return (exact_sum(par) - par.size) / whole


def roll_out_par(replay: Replay, trace: Trace) -> tuple[float, float]:
    """The part that would go if every layer were applied in the iteration of its call; and what it would be at least.

    Measured less what the new rows would have given, over a layer's iterations from the one after its call, or after
    the fixed ones, to the one in which it is applied. Negative where new rows are worse than what they replace. Layers
    that a trace's end keeps from being applied are not counted. At least: had each call listed the same layers in the
    order of what each gains in an iteration.
    """
    first, waits, gains = fixed_iterations(replay.case, trace.iterations), [], []
    work = balance.Work()
    for application in replay.applications:
        start, stop, layer = max(replay.calls[application.call - 1], first), application.iteration, application.layer
        # A layer that is applied at once, in the last fixed iteration, gains what it would have there.
        seen = slice(min(start, stop - 1), stop)
        hotness, totals = trace.expert_major[layer, :, seen], trace.totals[layer, seen]
        gains.append(float((replay.par[seen, layer] - balance.par(hotness, totals, application.rows, work)).mean()))
        waits.append(max(stop - start, 0))
    wait, gain = np.array(waits), np.array(gains)
    call = np.array([application.call for application in replay.applications])
    ordered = [np.sort(wait[call == number]) * -np.sort(-gain[call == number]) for number in np.unique(call)]
    lost, least = (math.fsum(part.tolist()) for part in (wait * gain, np.concatenate([*ordered, np.zeros(0)])))
    return lost / replay.par.size, least / replay.par.size
