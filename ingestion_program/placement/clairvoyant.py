"""Clairvoyant DS-EPLB: the planner fed with what comes next, moves free. A yardstick for head-room, not a bound."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from .balance import par
from .deployment import initial_deployment
from .ds_eplb import ds_eplb
from .grid import Case
from .trace import Trace


def clairvoyant_par(trace: Trace, case: Case) -> np.ndarray:
    """PAR of every iteration and layer, float64 [iteration, layer]; the trace must fit the case.

    At each of DS-EPLB's calls every layer is planned from the exact sums of the hotness until its next call, or until
    the trace's end, and all the new rows count from the next iteration on. Before that: the initial deployment.
    """
    measured = np.empty((trace.iterations, case.layers))
    table = initial_deployment(case.layers, case.experts, case.devices, case.redundant_experts)
    for start, stop in pairwise([0, *ds_eplb_calls(case, trace.iterations - 1), trace.iterations]):
        if start:
            coming = trace.expert_major[:, :, start:stop].sum(axis=2, dtype=np.int64)
            table = ds_eplb(coming, case.devices, case.redundant_experts, case.groups, case.nodes)
        for layer, rows in enumerate(table):
            hotness, totals = trace.expert_major[layer, :, start:stop], trace.totals[layer, start:stop]
            measured[start:stop, layer] = par(hotness, totals, rows)
    return measured


def ds_eplb_calls(case: Case, iterations: int) -> range:
    """The iterations, from 1 and up to `iterations`, at which a policy is called that always redeploys every layer."""
    # From call to call: the latency, one iteration per layer, and a window and one more as before the first call.
    return range(case.window + 1, iterations + 1, case.latency + case.layers + case.window + 1)
