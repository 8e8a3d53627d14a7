"""A policy to start from: at its first call it gives the spare slots to the hottest experts, then keeps that.

Where there are as many redundant experts as devices, the last slot of every device is a spare one; at first it
repeats the slot before it. With another number this policy keeps what it finds. pages/policy.md explains the
interface, and `python starting_kit/kit.py run` scores this policy.
"""

import numpy as np


class Policy:
    def __init__(self, case):
        self.case = case  # layers, experts, devices, slots, window, prices: pages/policy.md
        self.called = False

    def rebalance(self, hotness, deployment, iteration):
        """hotness: [window, layer, expert]; deployment: [layer, device, slot] as it stands now."""
        if self.called or self.case.redundant_experts != self.case.devices:
            return None  # keep the deployment: moving weights costs modeled time
        self.called = True
        table = deployment.copy()
        for layer, load in enumerate(hotness.sum(axis=0)):
            hottest_experts = np.argsort(-load, kind="stable")[: self.case.devices]
            device_loads = load[table[layer, :, :-1]].sum(axis=1)
            table[layer, np.argsort(device_loads, kind="stable"), -1] = hottest_experts
        return range(self.case.layers), table
