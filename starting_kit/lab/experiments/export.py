"""A plan of the lab as a policy: policy.py and its data, ready for `kit.py run`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from placement.deployment import initial_deployment
from planning.filling import fill
from planning.relabelling import relabel

TEMPLATE = '''"""Starts from a plan of the planner lab: at the first call every layer gets it, then nothing moves.

Where the case has another shape than the plan, it says so and keeps the initial deployment. A start to build upon.
"""

from pathlib import Path

import numpy as np

# int64 [layer, device, slot] -> expert, beside this file.
TABLE = np.load(Path(__file__).with_name("plan.npy"), allow_pickle=False)
WORDS = ("layers", "devices", "slots", "experts")


class Policy:
    """See pages/policy.md for the interface."""

    def __init__(self, case):
        plan, here = (*TABLE.shape, TABLE.max() + 1), (case.layers, case.devices, case.slots, case.experts)
        self.fits, self.placed = plan == here, False
        if not self.fits:
            said = [", ".join(f"{n} {word}" for n, word in zip(shape, WORDS, strict=True)) for shape in (plan, here)]
            print("plan: {}; this case: {}; the initial deployment stays".format(*said))

    def rebalance(self, hotness, deployment, iteration):
        if self.placed or not self.fits:
            return None
        self.placed = True
        # The hottest layers gain first.
        layers = np.argsort(-hotness.max(axis=2).mean(axis=0), kind="stable")
        return layers, TABLE
'''


def filled(tables: np.ndarray, load: np.ndarray) -> np.ndarray:
    """Tables in which empty slots and those of the shared expert hold more replicas of the hottest routed experts.

    tables: int [layer, device, slot], -1 where empty, the shared expert's id the number of routed ones; load: float
    [layer, expert], each expert's, of which replicas have equal parts. A case has neither empty slots nor shared
    experts. Returns int64.
    """
    experts = load.shape[1]
    tables = np.where(tables < experts, tables, -1).astype(np.int64)
    held = np.stack([np.bincount(table[table >= 0], minlength=experts) for table in tables])
    replicas = held.copy()
    for layer, empty in enumerate((tables < 0).sum(axis=(1, 2))):
        for _ in range(empty):
            share = load[layer] / np.maximum(replicas[layer], 1)
            # No device holds an expert twice.
            replicas[layer, np.where(replicas[layer] < tables.shape[1], share, -1.0).argmax()] += 1
    return fill(tables, replicas, load / np.maximum(replicas, 1))


def initial_tables(tables: np.ndarray, experts: int) -> np.ndarray:
    """The deployment that a case of these tables' shape starts with: int64 [layer, device, slot]."""
    layers, devices, slots = tables.shape
    return initial_deployment(layers, experts, devices, devices * slots - experts)


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
                "expected every routed expert, no empty slot and no shared expert. Next: give what `filled` returns"
            )
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "plan.npy", relabel(stacked, initial_tables(stacked, experts), experts))
    (folder / "policy.py").write_text(TEMPLATE, encoding="utf-8")
    return folder / "policy.py"
