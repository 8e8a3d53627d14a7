"""DeepSeek's load balancer, of which the competition's baseline is the global mode, with groups of experts on nodes."""

from __future__ import annotations

import numpy as np

from placement.ds_eplb import pack, replicate


def eplb_hierarchical(weight: np.ndarray, replicas: int, groups: int, nodes: int, devices: int) -> np.ndarray:
    """DeepSeek's load balancer in hierarchical mode, sorting stably: groups to nodes, replicas within them, devices.

    weight: [layer, expert]. Returns int64 [layer, device, slot]; every replica of a group's experts lies in one node.
    With one group for each, nodes = 1, this is the global mode. Raises ValueError for numbers that do not divide.
    Source: deepseek-ai/EPLB, rebalance_experts_hierarchical.
    """
    weight = np.asarray(weight).astype(np.float32)
    layers, experts = weight.shape
    for what, whole, part in (("experts", experts, groups), ("groups", groups, nodes), ("devices", devices, nodes)):
        if whole % part:
            raise ValueError(f"{whole} {what} cannot be divided by {part}")
    if replicas % devices or replicas < experts:
        raise ValueError(f"{replicas} replicas do not fill {devices} devices with {experts} experts")
    size = experts // groups
    group_weight = weight.reshape(layers, groups, size).sum(axis=2)
    ids = np.tile(np.arange(groups), (layers, 1))
    node_groups = pack(ids, group_weight, nodes)
    inside = (node_groups[..., None] * size + np.arange(size)).reshape(layers * nodes, experts // nodes)
    node_weight = np.take_along_axis(np.repeat(weight, nodes, axis=0), inside, axis=1)
    packed_ids, share = replicate(node_weight, (replicas - experts) // nodes)
    packed = pack(packed_ids, share, devices // nodes)
    table = np.take_along_axis(inside, packed.reshape(layers * nodes, -1), axis=1)
    return table.reshape(layers, devices, replicas // devices)
