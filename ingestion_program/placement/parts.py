"""What mean PAR above 1 is made of, as far as the replay alone can say: seconds of a case split where they arise.

The page *Evaluation* has the definitions; the scorer turns parts into seconds and takes the rest from the reference.
"""

from __future__ import annotations

import math

import numpy as np

from . import balance
from .exact_sum import exact_sum
from .grid import Case
from .par_rows import ParRows
from .replay import Replay
from .roll_out import fixed_iterations, gain, waiting
from .trace import Hotness


def fixed_par(par: np.ndarray | ParRows, case: Case) -> float:
    """The fixed iterations' part of mean PAR above 1; par: [iteration, layer] of the whole trace."""
    return _part(par, 0, fixed_iterations(case, len(par)))


def later_par(par: np.ndarray | ParRows, case: Case) -> float:
    """The part of all iterations after the fixed ones."""
    return _part(par, fixed_iterations(case, len(par)), len(par))


def _part(par: np.ndarray | ParRows, first: int, last: int) -> float:
    """What lies above 1, as a part of the mean over all values; exactly rounded: no order decides a digit."""
    return (exact_sum(par, first, last) - (last - first) * par.shape[1]) / par.size


def roll_out_par(replay: Replay, trace: Hotness) -> tuple[float, float]:
    """The part that would go if every layer were applied in the iteration of its call; and what it would be at least.

    Measured less what the new rows would have given, over a layer's iterations from the one after its call, or after
    the fixed ones, to the one in which it is applied. Negative where new rows are worse than what they replace. Layers
    that a trace's end keeps from being applied are not counted. At least: had each call listed the same layers in the
    order of what each gains in an iteration.
    """
    first = fixed_iterations(replay.case, trace.iterations)
    starts = [max(replay.calls[application.call - 1], first) for application in replay.applications]
    waits = [max(part.iteration - start, 0) for part, start in zip(replay.applications, starts, strict=True)]
    wait, gained = np.array(waits), np.array(replay.gains if not trace.whole else _gains(replay, trace))
    call = np.array([application.call for application in replay.applications])
    ordered = [np.sort(wait[call == number]) * -np.sort(-gained[call == number]) for number in np.unique(call)]
    lost, least = (math.fsum(part.tolist()) for part in (wait * gained, np.concatenate([*ordered, np.zeros(0)])))
    return lost / replay.par.size, least / replay.par.size


def _gains(replay: Replay, trace: Hotness) -> list[float]:
    gains, work = [], balance.Work()
    for part in replay.applications:
        seen = waiting(replay.case, trace.iterations, replay.calls[part.call - 1], part.iteration)
        gains.append(gain(trace, replay.par[seen][:, part.layer], part.layer, seen, part.rows, work))
    return gains
