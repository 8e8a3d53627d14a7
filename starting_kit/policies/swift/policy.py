"""Swift: vllm-ascend's SwiftBalancer: base experts stay, spare slots are given anew, and a few experts change places.

Idea: a layer whose busiest device carries 1.01 times the mean, or less, is left alone. In the others every expert keeps
one slot; the redundant slots go to the hottest experts, one by one, each on the lightest device that lacks the expert.
Then at most 100 exchanges of an expert of the hottest device against one of a colder device: a pair of devices
exchanges once, an expert moves once, and an exchange must gain 1 % of the mean load. So little is sent between any two
devices.

Source: vllm-ascend's policy_swift_balancer, by the summaries of its pull requests. Decided here, where they say less:
an expert's first slot, in order of devices, is the one that stays; of the devices that are left to a pair, the coldest
with an exchange that gains enough is taken, and on it the best exchange; a layer is redeployed when its busiest device
comes to carry less than 0.95 of what it did, the largest fall first; the limit of a pair counts exchanges, and not the
redundant replicas; where those cannot be spread without an expert twice on a device, they stay.

When to use: where links between devices are slow. It plans for the window's mean and forgets all earlier windows.

Measured: composite_score 103.1964 on the sample grid, on generated sample traces.
"""

import numpy as np

from placement.ds_eplb import replicate
from planning.alignment import align_slots
from planning.filling import fill

THRESHOLD, GATE, EXCHANGES, INCREMENT = 1.01, 0.95, 100, 0.01


class Policy:
    def __init__(self, case):
        self.case = case

    def rebalance(self, hotness, deployment, iteration):
        load, live = hotness.sum(axis=0, dtype=np.float64), np.asarray(deployment)
        before = carried(load, live).max(axis=1)
        uneven = np.flatnonzero(before > THRESHOLD * load.sum(axis=1) / self.case.devices)
        if not len(uneven):
            return None
        table = live.copy()
        table[uneven] = align_slots(exchanged(load[uneven], respread(load[uneven], live[uneven])), live[uneven])
        ratio = carried(load, table).max(axis=1) / np.maximum(before, 1)
        order = np.argsort(ratio, kind="stable")
        return order[ratio[order] < GATE], table


def shares(load, table):
    """What each slot carries: [layer, device, slot]."""
    row = np.arange(len(table))[:, None, None]
    count = np.stack([np.bincount(rows.ravel(), minlength=load.shape[1]) for rows in table])
    return (load / np.maximum(count, 1))[row, table]


def carried(load, table):
    """What each device carries: [layer, device]."""
    return shares(load, table).sum(axis=2)


def respread(load, live):
    """The live table with its redundant slots given to the hottest experts; unchanged where one does not fit in."""
    layers, experts = load.shape
    table = np.full(live.shape, -1, np.int64)
    for rows, before in zip(table.reshape(layers, -1), live.reshape(layers, -1), strict=True):
        base, first = np.unique(before, return_index=True)
        rows[first] = base
    replica, _ = replicate(load.astype(np.float32), live[0].size - experts)
    count = np.stack([np.bincount(line, minlength=experts) for line in replica])
    table = fill(table, count, load / count)
    failed = (table < 0).any(axis=(1, 2))
    table[failed] = live[failed]
    return table


def exchanged(load, table):
    """A copy of the table after the exchanges."""
    table, unit = table.copy(), shares(load, table)
    layers, devices, _ = table.shape
    row, least = np.arange(layers), INCREMENT * load.sum(axis=1) / devices
    met = np.broadcast_to(np.eye(devices, dtype=bool), (layers, devices, devices)).copy()
    moved = np.zeros(table.shape, bool)
    for _ in range(EXCHANGES):
        sums = unit.sum(axis=2)
        hot = sums.argmax(axis=1)
        mine, top = table[row, hot], sums[row, hot]
        # What the hottest device would carry more: [layer, its slot, other device, slot of that].
        more = unit[:, None] - unit[row, hot][:, :, None, None]
        gain = np.minimum(-more, top[:, None, None, None] - sums[:, None, :, None] + more)
        same = table[:, None] == mine[:, :, None, None]
        twice = same.any(axis=3)[..., None] | same.any(axis=1)[:, None]
        barred = twice | met[row, hot][:, None, :, None] | moved[:, None] | moved[row, hot][:, :, None, None]
        gain[barred] = -np.inf
        enough = gain.max(axis=(1, 3)) >= least[:, None]
        cold = np.where(enough, sums, np.inf).argmin(axis=1)
        going = np.flatnonzero(enough[row, cold] & (least > 0))
        if not len(going):
            break
        best = gain[row, :, cold].reshape(layers, -1).argmax(axis=1)
        slot, its_slot = np.divmod(best, table.shape[2])
        one = going, hot[going], slot[going]
        other = going, cold[going], its_slot[going]
        for part in (table, unit):
            part[one], part[other] = part[other], part[one]
        moved[one] = moved[other] = True
        met[going, hot[going], cold[going]] = met[going, cold[going], hot[going]] = True
    return table
