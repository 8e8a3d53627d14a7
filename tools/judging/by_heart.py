"""What can be learned by heart: forecasts that know one seed's timing or the family's, and others that know nothing.

Each is planned with by DS-EPLB and measured by the simulator's replay. Moves are free here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from placement.answer import Redeployment
from placement.ds_eplb import ds_eplb
from placement.grid import Case
from placement.replay import replay
from placement.trace import Trace
from traces.generation.generator import generate, timing_of
from traces.generation.profile import Parameters

# Iterations that a course, and what it is fitted to, are averaged over; a divisor of the window.
BLOCK = 16
# The family's period, to a round number.
FAMILY_PERIOD = 2000.0
# Fewer blocks say too little.
LEAST = 4


class Setting(NamedTuple):
    """A case and its trace; shares: of each layer's load, means of BLOCK iterations [block, layer, expert]."""

    case: Case
    trace: Trace
    shares: np.ndarray


# From the shares seen so far and the blocks of the coming cycle, the loads to plan for [layer, expert]; None: no plan.
Forecast = Callable[[np.ndarray, np.ndarray], "np.ndarray | None"]


def setting_of(p: Parameters, case: Case, iterations: int, seed: int, fitted: bool = False) -> Setting:
    """A case with a generated trace; fitted: period, phase and switches are the profile's."""
    trace = Trace(generate(p, iterations, case.layers, case.experts, seed, fitted))
    whole = trace.expert_major[:, :, : iterations - iterations % BLOCK]
    sums = whole.reshape(case.layers, case.experts, -1, BLOCK).sum(axis=3, dtype=np.float32).transpose(2, 0, 1)
    return Setting(case, trace, sums / sums.sum(axis=2, keepdims=True))


def mean_par(setting: Setting, forecast: Forecast) -> float:
    """Mean PAR over all layers and iterations."""
    case, trace, shares = setting
    cycle = case.window + 1 + case.layers

    def rebalance(start: int, stop: int, deployment: np.ndarray, iteration: int) -> Redeployment | None:
        # From the middle of this redeployment to the middle of the next.
        first = iteration + case.layers // 2
        coming = np.arange(first // BLOCK, min((first + cycle) // BLOCK, len(shares)))
        load = forecast(shares[: iteration // BLOCK], coming) if len(coming) else None
        if load is None:
            return None
        return np.arange(case.layers), ds_eplb(np.maximum(load, 0), case.devices, case.redundant_experts)

    return float(replay(trace, case, rebalance).par.mean())


def kept(window: int) -> Forecast:
    """The mean of the first window, planned once and kept."""

    def forecast(seen: np.ndarray, coming: np.ndarray) -> np.ndarray | None:
        return seen.mean(axis=0) if len(seen) == window // BLOCK else None

    return forecast


def extrapolated(courses: np.ndarray, blocks: int | None = None) -> Forecast:
    """Each expert's share as a constant and a multiple of each course, by least squares, at the coming blocks' mean.

    courses: [block, course], known for the whole trace; blocks: how many of the first it is fitted to; None: all seen.
    """
    known = np.column_stack([np.ones(len(courses)), courses])

    def forecast(seen: np.ndarray, coming: np.ndarray) -> np.ndarray:
        fitted = seen[:blocks]
        flat = fitted.reshape(len(fitted), -1)
        factors = np.linalg.lstsq(known[: len(fitted)], flat, rcond=None)[0]
        return (known[coming].mean(axis=0) @ factors).reshape(seen.shape[1:])

    return forecast


def since(switches: np.ndarray, newest: int | None) -> Forecast:
    """The mean of what was seen after the last of the switches, and of at most so many newest blocks.

    switches: the iterations before which is forgotten once LEAST blocks were seen after them; none: nothing is.
    """
    begun = np.ceil(switches / BLOCK).astype(int)

    def forecast(seen: np.ndarray, coming: np.ndarray) -> np.ndarray:
        first = max([0, *begun[begun + LEAST <= len(seen)], len(seen) - newest if newest else 0])
        return seen[first:].mean(axis=0)

    return forecast


def switch_ends(p: Parameters, seed: int, fitted: bool = False) -> np.ndarray:
    """The iterations at which a seed's switches are over; fitted: the profile's, of whatever seed."""
    return timing_of(p, seed, fitted).switches + p.switch_width / 2


def learned_course(setting: Setting) -> np.ndarray:
    """The course in time that explains most of a trace's shares: [block, 1]."""
    moved = setting.shares - setting.shares.mean(axis=0)
    flat = moved.reshape(len(moved), -1)
    return np.linalg.eigh(flat @ flat.T)[1][:, -1:]


def waves(blocks: int, period: float) -> np.ndarray:
    """Cosine and sine from a crest at iteration 0: [block, 2]."""
    x = 2 * np.pi * (np.arange(blocks) + 0.5) * BLOCK / period
    return np.column_stack([np.cos(x), np.sin(x)])
