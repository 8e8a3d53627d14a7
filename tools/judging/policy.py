"""Simple policies that differ in what they plan from and when they move; parameters.json beside this file chooses.

What was seen is kept in blocks of BLOCK iterations, as shares of each layer's load: each block's mean, and one single
iteration of it, as scattered as iterations are.
"""

import json
from pathlib import Path

import numpy as np

from placement.ds_eplb import ds_eplb, replicate
from planning.relabelling import relabel

BLOCK = 32
# Of the time, in each of which pack_apart looks at the devices' loads.
PARTS = 12
DEFAULTS = {
    "calls": None,  # how many calls are answered; None: all
    "memory": None,  # how many of the last windows, or which part of the last, counts; None: all
    "half_life": None,  # after how many windows a block counts half; None: all blocks count alike
    "switch": None,  # total variation between what was before and after an iteration, at which the former is forgotten
    "hedge": 0.0,  # how many standard deviations of single iterations are added to the mean
    "apart": False,  # keep apart what is hot in the same blocks, instead of DS-EPLB's packing
    "relabel": False,  # rename devices and reorder slots, so that few slots change
    "gate": None,  # redeploy a layer when what it gains is more than so many times the price of its moves
}


class Policy:
    def __init__(self, case):
        self.case, self.answered = case, 0
        self.p = DEFAULTS | json.loads((Path(__file__).parent / "parameters.json").read_text())
        self.means = self.singles = np.zeros((0, case.layers, case.experts), np.float32)
        self.window = max(1, case.window // BLOCK)  # in blocks

    def rebalance(self, hotness, deployment, iteration):
        if self.answered == self.p["calls"]:
            return None
        self.answered += 1
        self.remember(hotness)
        table = self.plan()
        if self.p["relabel"]:
            table = relabel(table, deployment, self.case.experts)
        if self.p["gate"] is None:
            return range(self.case.layers), table
        profit = self.profit(deployment, table, iteration)
        order = np.argsort(-profit, kind="stable")
        return order[profit[order] > 0], table

    def remember(self, hotness):
        """Add the window's blocks, and forget what counts no longer."""
        size = min(BLOCK, len(hotness))
        blocks = hotness[len(hotness) % size :].reshape(-1, size, *hotness.shape[1:])
        new = blocks.mean(axis=1, dtype=np.float32), blocks[:, size // 2].astype(np.float32)
        means, singles = (part / part.sum(axis=2, keepdims=True) for part in new)
        self.means, self.singles = np.concatenate([self.means, means]), np.concatenate([self.singles, singles])
        kept = len(self.means) if self.p["memory"] is None else max(1, int(self.p["memory"] * self.window))
        if self.p["switch"] is not None:
            kept = min(kept, len(self.means) - self.last_switch())
        self.means, self.singles = self.means[-kept:], self.singles[-kept:]

    def last_switch(self):
        """The block before which the loads differ most from those after it, where that is enough; otherwise 0."""
        least = 3  # blocks on each side
        sums, count = self.means.cumsum(axis=0), len(self.means)
        splits = range(least, count - least + 1)
        apart = [np.abs(sums[n - 1] / n - (sums[-1] - sums[n - 1]) / (count - n)).sum() / 2 for n in splits]
        if not apart or max(apart) / self.case.layers < self.p["switch"]:
            return 0
        return splits[int(np.argmax(apart))]

    def plan(self):
        """A table for the loads to come: [layer, device, slot]."""
        count, case = len(self.means), self.case
        age = np.arange(count)[::-1]
        weight = np.ones(count) if self.p["half_life"] is None else 0.5 ** (age / self.p["half_life"] / self.window)
        weight = (weight / weight.sum()).astype(np.float32)
        load = np.tensordot(weight, self.means, 1)
        spread = self.p["hedge"] * np.sqrt(np.tensordot(weight, (self.singles - self.means) ** 2, 1))
        if not self.p["apart"]:
            return ds_eplb(load + spread, case.devices, case.redundant_experts)
        return pack_apart(self.means, load + spread, spread, case.devices, case.redundant_experts)

    def profit(self, deployment, table, iteration):
        """The modeled seconds that each layer saves, less the price of its moves."""
        case = self.case
        left = max(case.iterations - iteration - case.layers / 2, 0)
        gain = mean_par(self.singles, deployment) - mean_par(self.singles, table)
        value = gain * case.balanced_compute_seconds * left / (case.iterations * case.layers)
        price = case.expert_bytes / case.bandwidth_bytes_per_second
        return value - self.p["gate"] * price * (table != deployment).sum(axis=(1, 2))


def mean_par(hotness, table):
    """PAR of each layer, mean over the iterations: hotness [iteration, layer, expert] -> [layer]."""
    result = []
    for layer, rows in enumerate(table):
        per_replica = hotness[:, layer] / np.bincount(rows.ravel(), minlength=hotness.shape[2])
        loads = per_replica[:, rows].sum(axis=2)
        result.append((loads.max(axis=1) / loads.mean(axis=1)).mean())
    return np.array(result)


def pack_apart(blocks, weights, spread, devices, redundant):
    """Replicas, heaviest first, each to the device that is then least loaded in its worst part of the time.

    blocks: shares [block, layer, expert], taken together in PARTS of the time; weights, spread: [layer, expert], what
    replicas are made by, and what is added to an expert's load in each part. Returns int64 [layer, device, slot].
    """
    parts = np.array_split(blocks, min(PARTS, len(blocks)))
    load = np.stack([part.mean(axis=0) for part in parts], axis=2) + spread[:, :, None]  # [layer, expert, part]
    expert, weight = replicate(weights.astype(np.float32), redundant)
    layers, slots = len(load), expert.shape[1] // devices
    row, order = np.arange(layers), np.argsort(-weight, axis=1, kind="stable")
    replicas = np.stack([np.bincount(line, minlength=load.shape[1]) for line in expert])
    table, filled = np.zeros((layers, devices, slots), np.int64), np.zeros((layers, devices), np.int64)
    total = np.zeros((layers, devices, load.shape[2]), np.float32)
    for replica in order.T:
        chosen = expert[row, replica]
        more = load[row, chosen] / replicas[row, chosen][:, None]
        worst = (total + more[:, None]).max(axis=2)
        worst[filled == slots] = np.inf
        device = worst.argmin(axis=1)
        table[row, device, filled[row, device]] = chosen
        filled[row, device] += 1
        total[row, device] += more
    return table
