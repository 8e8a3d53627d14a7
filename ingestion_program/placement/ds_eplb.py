"""DS-EPLB: DeepSeek's load balancer in global mode, exact, all layers at once.

Algorithm: deepseek-ai/EPLB (`replicate_experts`, then `balanced_packing` over all devices) with a stable sort.
"""

from __future__ import annotations

import numpy as np


def ds_eplb(weights: np.ndarray, devices: int, redundant: int) -> np.ndarray:
    """Plan a deployment table from expert weights.

    weights: integers or floats [layer, expert], used as float32; redundant: replicas beyond one per expert,
    (experts + redundant) a multiple of devices. Returns int64 [layer, device, slot]. Raises ValueError for
    another number of axes.
    """
    weights = np.asarray(weights).astype(np.float32)
    if weights.ndim != 2:
        raise ValueError(f"weights must be [layer, expert], got shape {list(weights.shape)}; sum over the window first")
    replica_expert, replica_weight = replicate(weights, redundant)
    return pack(replica_expert, replica_weight, devices)


def replicate(weights: np.ndarray, redundant: int) -> tuple[np.ndarray, np.ndarray]:
    """Give `redundant` times a replica to the first expert with the largest weight per replica.

    weights: float32 [layer, expert]. Returns the expert of every replica, int64 [layer, expert + redundant]
    (the first ones in order of id, then the added ones), and its share of the weight, float32.
    """
    layers, experts = weights.shape
    rows = np.arange(layers)
    counts = np.ones((layers, experts), np.float32)
    share = weights.copy()
    replica_expert = np.empty((layers, experts + redundant), np.int64)
    replica_expert[:, :experts] = np.arange(experts)
    for replica in range(experts, experts + redundant):
        heaviest = share.argmax(axis=1)
        replica_expert[:, replica] = heaviest
        counts[rows, heaviest] += 1
        share[rows, heaviest] = weights[rows, heaviest] / counts[rows, heaviest]
    return replica_expert, np.take_along_axis(share, replica_expert, axis=1)


def pack(replica_expert: np.ndarray, replica_weight: np.ndarray, devices: int) -> np.ndarray:
    """Put replicas, heaviest first, each on the first lightest device that has a free slot.

    Both arrays [layer, replica]; loads are accumulated in float32. Returns int64 [layer, device, slot].
    """
    layers, replicas = replica_expert.shape
    slots = replicas // devices
    rows = np.arange(layers)
    order = np.argsort(-replica_weight, axis=1, kind="stable")
    expert_of = np.take_along_axis(replica_expert, order, axis=1).T.copy()
    weight_of = np.take_along_axis(replica_weight, order, axis=1).T.copy()
    # A full device gets an infinite load, so that one argmin finds the first lightest with a free slot.
    loads = np.zeros((layers, devices), np.float32)
    used = np.zeros((layers, devices), np.int64)
    table = np.empty((layers, devices, slots), np.int64)
    for expert, weight in zip(expert_of, weight_of, strict=True):
        device = loads.argmin(axis=1)
        slot = used[rows, device]
        table[rows, device, slot] = expert
        used[rows, device] = slot + 1
        loads[rows, device] = np.where(slot + 1 == slots, np.float32(np.inf), loads[rows, device] + weight)
    return table
