"""TensorRT-LLM: DeepSeek's balancer in its heap form, after every window, all layers in order.

Idea: a heap of experts by load per replica says who gets the next replica; a heap of devices by load says where the
next one goes, heaviest replica first, and a full device leaves the heap. The same plan in less time.

Source: NVIDIA's TensorRT-LLM, its load balancer of wide expert parallelism (moeLoadBalancer.cpp), by a description.
As there, a device may hold an expert twice, and a layer without load gets even numbers of replicas. Decided here, as no
description says: ties go to the lower expert and the lower device; all layers are redeployed, and no device is renamed.

When to use: as a yardstick; it differs from DS-EPLB by ties and rounding only.

Measured: composite_score 100.0022 on the sample grid, on generated sample traces.
"""

import heapq

import numpy as np


class Policy:
    def __init__(self, case):
        self.case = case

    def rebalance(self, hotness, deployment, iteration):
        case = self.case
        loads = hotness.sum(axis=0, dtype=np.float64)
        table = [place(load, replicas(load, case.redundant_experts), case.devices) for load in loads]
        return range(case.layers), table


def replicas(load, redundant):
    """Replicas of each expert: the next one goes where a replica carries most; without load, even numbers."""
    experts = len(load)
    if not load.any():
        each, more = divmod(experts + redundant, experts)
        return [each + (expert < more) for expert in range(experts)]
    load, count = load.tolist(), [1] * experts
    heap = [(-one, expert) for expert, one in enumerate(load)]
    heapq.heapify(heap)
    for _ in range(redundant):
        expert = heap[0][1]
        count[expert] += 1
        heapq.heapreplace(heap, (-load[expert] / count[expert], expert))
    return count


def place(load, count, devices):
    """Rows of one layer: replicas, heaviest first, each on the lightest device that is not full."""
    share = load / count
    order = np.argsort(-share, kind="stable")
    slots = sum(count) // devices
    rows, heap = [[] for _ in range(devices)], [(0.0, device) for device in range(devices)]
    for expert in np.repeat(order, np.asarray(count)[order]).tolist():
        carried, device = heapq.heappop(heap)
        rows[device].append(expert)
        if len(rows[device]) < slots:
            heapq.heappush(heap, (carried + float(share[expert]), device))
    return rows
