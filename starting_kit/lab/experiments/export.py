"""A plan of the lab as a policy: policy.py and its data, ready for `kit.py run`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from placement.deployment import initial_deployment
from planning.relabelling import relabel

TEMPLATE = '''"""Starts from a plan of the planner lab: at the first call every layer gets it, then nothing moves.

Where the case has another shape than the plan, it keeps the initial deployment. A start to build upon.
"""

from pathlib import Path

import numpy as np

# int64 [layer, device, slot] -> expert, beside this file.
TABLE = np.load(Path(__file__).with_name("plan.npy"), allow_pickle=False)


class Policy:
    """See pages/policy.md for the interface."""

    def __init__(self, case):
        self.fits = TABLE.shape == (case.layers, case.devices, case.slots) and TABLE.max() == case.experts - 1
        self.placed = False

    def rebalance(self, hotness, deployment, iteration):
        if self.placed or not self.fits:
            return None
        self.placed = True
        # The hottest layers gain first.
        layers = np.argsort(-hotness.max(axis=2).mean(axis=0), kind="stable")
        return layers, TABLE
'''


def write_policy(folder: Path, tables: Sequence[np.ndarray], experts: int) -> Path:
    """Write policy.py and plan.npy into a folder, which is made; returns policy.py.

    tables: int [device, slot] of each layer, in order; their devices are renamed, and slots reordered, so that few
    slots of the initial deployment change. Raises ValueError for tables that fit no case: an empty
    slot, a shared expert, an expert without a slot.
    """
    stacked = np.stack([np.asarray(table, np.int64) for table in tables])
    for layer, table in enumerate(stacked):
        missing = np.setdiff1d(np.arange(experts), table)
        if table.min() < 0 or table.max() >= experts or len(missing):
            raise ValueError(
                f"layer {layer}: the table has experts outside 0 .. {experts - 1}, or none of {missing[:8].tolist()}; "
                "expected every routed expert, no empty slot and no shared expert. Next: plan without the shared expert"
            )
    layers, devices, slots = stacked.shape
    live = initial_deployment(layers, experts, devices, devices * slots - experts)
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "plan.npy", relabel(stacked, live, experts))
    (folder / "policy.py").write_text(TEMPLATE, encoding="utf-8")
    return folder / "policy.py"
