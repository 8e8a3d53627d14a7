"""A plan of the lab as a policy: policy.py and its data, ready for `kit.py run`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

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


def fewest_moves(table: np.ndarray, live: np.ndarray) -> np.ndarray:
    """The same table with its devices renamed and its slots reordered so that few slots of the live rows change.

    Both int64 [device, slot]. Experts that a device keeps stay in their slots; devices are matched greedily, most
    common experts first, lowest numbers first.
    """
    devices, slots = table.shape
    common = np.array([[len(np.intersect1d(new, old)) for old in live] for new in table])
    result = np.empty_like(table)
    target = np.full(devices, -1)
    for flat in np.argsort(-common, axis=None, kind="stable"):
        new, old = divmod(int(flat), devices)
        if target[new] < 0 and old not in target:
            target[new] = old
    for new, old in enumerate(target):
        left, row = table[new].tolist(), np.full(slots, -1)
        for slot in range(slots):
            if live[old, slot] in left:
                row[slot] = live[old, slot]
                left.remove(live[old, slot])
        row[row < 0] = left
        result[old] = row
    return result


def write_policy(folder: Path, tables: Sequence[np.ndarray], experts: int) -> Path:
    """Write policy.py and plan.npy into a folder, which is made; returns policy.py.

    tables: int [device, slot] of each layer, in order. Raises ValueError for tables that fit no case: an empty
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
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "plan.npy", stacked)
    (folder / "policy.py").write_text(TEMPLATE, encoding="utf-8")
    return folder / "policy.py"
