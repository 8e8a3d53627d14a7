"""What can be learned by heart: forecasts that know one seed's timing or the family's, and others that know nothing.

Each is planned with by DS-EPLB and measured as a replay does it: calls a window and all layers apart, one layer
redeployed in an iteration. Moves are free here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from placement import balance
from placement.deployment import initial_deployment
from placement.ds_eplb import ds_eplb
from placement.trace import Trace
from traces.generation.generator import generate, timing_of
from traces.generation.profile import Parameters

# Iterations that a course, and what it is fitted to, are averaged over; a divisor of the window.
BLOCK = 16
# The family's period, to a round number.
FAMILY_PERIOD = 2000.0
# Fewer blocks say too little.
LEAST = 4


class Replay(NamedTuple):
    """A trace as policies see it; shares: of each layer's load, means of BLOCK iterations [block, layer, expert];
    static: PAR without any call [layer, iteration]."""

    trace: Trace
    shares: np.ndarray
    static: np.ndarray
    devices: int
    window: int


# From the shares seen so far and the blocks of the coming cycle, the loads to plan for [layer, expert]; None: no call.
Forecast = Callable[[np.ndarray, np.ndarray], "np.ndarray | None"]


def replay_of(
    p: Parameters,
    iterations: int,
    layers: int,
    experts: int,
    devices: int,
    window: int,
    seed: int,
    fitted: bool = False,
) -> Replay:
    """A generated trace, ready to be replayed; fitted: period, phase and switches are the profile's."""
    trace = Trace(generate(p, iterations, layers, experts, seed, fitted))
    whole = trace.expert_major[:, :, : iterations - iterations % BLOCK]
    sums = whole.reshape(layers, experts, -1, BLOCK).sum(axis=3, dtype=np.float32).transpose(2, 0, 1)
    rows = initial_deployment(1, experts, devices)[0]
    static = np.stack([_par(trace, layer, rows, slice(None)) for layer in range(layers)])
    return Replay(trace, sums / sums.sum(axis=2, keepdims=True), static, devices, window)


def mean_par(replay: Replay, forecast: Forecast) -> float:
    """Mean PAR over all layers and iterations."""
    trace, par = replay.trace, replay.static.copy()
    plans: list[tuple[int, np.ndarray]] = []
    call, cycle = replay.window + 1, replay.window + 1 + trace.layers
    while call <= trace.iterations:
        # From the middle of this redeployment to the middle of the next.
        first = call + trace.layers // 2
        coming = np.arange(first // BLOCK, min((first + cycle) // BLOCK, len(replay.shares)))
        load = forecast(replay.shares[: call // BLOCK], coming) if len(coming) else None
        if load is not None:
            plans.append((call, ds_eplb(np.maximum(load, 0), replay.devices, replay.devices)))
        call += cycle if load is not None else replay.window + 1
    for (call, table), (following, _) in zip(plans, [*plans[1:], (trace.iterations, None)], strict=True):
        for layer, rows in enumerate(table):
            piece = slice(call + 1 + layer, following + 1 + layer)
            par[layer, piece] = _par(trace, layer, rows, piece)
    return float(par.mean())


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
    begun = np.ceil(np.asarray(switches) / BLOCK).astype(int)

    def forecast(seen: np.ndarray, coming: np.ndarray) -> np.ndarray:
        first = max([0, *begun[begun + LEAST <= len(seen)], len(seen) - newest if newest else 0])
        return seen[first:].mean(axis=0)

    return forecast


def drawn_switches(p: Parameters, seed: int) -> np.ndarray:
    """The iterations at which a seed's switches are over."""
    return timing_of(p, seed).switches + p.switch_width / 2


def learned_course(replay: Replay) -> np.ndarray:
    """The course in time that explains most of a trace's shares: [block, 1]."""
    moved = replay.shares - replay.shares.mean(axis=0)
    flat = moved.reshape(len(moved), -1)
    return np.linalg.eigh(flat @ flat.T)[1][:, -1:]


def waves(blocks: int, period: float) -> np.ndarray:
    """Cosine and sine from a crest at iteration 0: [block, 2]."""
    x = 2 * np.pi * (np.arange(blocks) + 0.5) * BLOCK / period
    return np.column_stack([np.cos(x), np.sin(x)])


def _par(trace: Trace, layer: int, rows: np.ndarray, piece: slice) -> np.ndarray:
    return balance.par(trace.expert_major[layer, :, piece], trace.totals[layer, piece], rows)
