"""Gated: DS-EPLB's plan, its devices renamed so that few slots move, and of it the layers that pay for their moves.

Idea: a plan is worth the iterations that are left and costs the slots that it changes. A layer is redeployed when what
its mean PAR would have gained in the last window, for all iterations to come, is more seconds than its slots take; the
most worthwhile layer first.

Source: ours: `placement.ds_eplb`, `planning.relabelling`, `planning.gate`. DS-EPLB may put an expert twice on a device,
and so does this plan.

When to use: as the first step from any planner of your own: put it in the place of DS-EPLB.

Measured: composite_score 102.5495 on the sample grid, on generated sample traces.
"""

import numpy as np

from placement.balance import par
from placement.ds_eplb import ds_eplb
from planning.gate import seconds_of_par, seconds_of_slot, worthwhile
from planning.relabelling import relabel


class Policy:
    def __init__(self, case):
        self.case = case

    def rebalance(self, hotness, deployment, iteration):
        case = self.case
        plan = ds_eplb(hotness.sum(axis=0), case.devices, case.redundant_experts, case.groups, case.nodes)
        plan = relabel(plan, deployment, case.experts)
        gains = mean_pars(hotness, deployment) - mean_pars(hotness, plan)
        value, price = seconds_of_par(case, iteration), seconds_of_slot(case)
        return worthwhile(gains[None], plan[None], deployment, value, price)


def mean_pars(hotness, table):
    """Mean PAR of each layer over the window's iterations."""
    layers = (np.ascontiguousarray(hotness[:, layer].T) for layer in range(len(table)))
    return np.array([par(load, load.sum(axis=0), rows).mean() for load, rows in zip(layers, table, strict=True)])
