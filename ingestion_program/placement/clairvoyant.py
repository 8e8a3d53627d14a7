"""Clairvoyant DS-EPLB: the planner fed with what comes next, moves free. A yardstick for head-room, not a bound."""

from __future__ import annotations

from collections.abc import Generator
from itertools import pairwise

import numpy as np

from . import balance
from .deployment import initial_deployment
from .ds_eplb import ds_eplb
from .grid import Case
from .par_rows import ParRows
from .together import take_turns
from .trace import Hotness


def clairvoyant_par(trace: Hotness, case: Case) -> np.ndarray | ParRows:
    """PAR of every iteration and layer, [iteration, layer]: what `clairvoyant_steps` returns."""
    return take_turns([clairvoyant_steps(trace, case)])[0]


def clairvoyant_steps(trace: Hotness, case: Case) -> Generator[int, None, np.ndarray | ParRows]:
    """Measure PAR of every iteration and layer, float64 [iteration, layer]; the trace must fit the case.

    At each of DS-EPLB's calls every layer is planned from the exact sums of the hotness until its next call, or until
    the trace's end, and all the new rows count from the next iteration on. Before that: the initial deployment. Yields
    the iteration up to which the trace is read next.
    """
    measured, work = trace.new_par(), balance.Work()
    table = initial_deployment(case.layers, case.experts, case.devices, case.redundant_experts)
    for start, stop in pairwise([0, *ds_eplb_calls(case, trace.iterations - 1), trace.iterations]):
        yield stop
        if start:
            coming = np.zeros((case.layers, case.experts), np.int64)
            for ends in trace.spans(start, stop):
                coming += trace.sums(*ends)
            table = ds_eplb(coming, case.devices, case.redundant_experts, case.groups, case.nodes)
        for first, last in trace.spans(start, stop):
            block = np.empty((last - first, case.layers))
            for layer, rows in enumerate(table):
                block[:, layer] = balance.par(*trace.stretch(layer, first, last), rows, work)
            measured[first:last] = block
    return measured


def ds_eplb_calls(case: Case, iterations: int) -> range:
    """The iterations, from 1 and up to `iterations`, at which a policy is called that always redeploys every layer."""
    # From call to call: the latency, one iteration per layer, and a window and one more as before the first call.
    return range(case.window + 1, iterations + 1, case.latency + case.layers + case.window + 1)
