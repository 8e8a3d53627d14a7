"""DS-EPLB: DeepSeek's load balancer in global mode, exact, all layers at once.

Algorithm: deepseek-ai/EPLB (`replicate_experts`, then `balanced_packing` over all devices) with a stable sort.
"""

from __future__ import annotations

import numpy as np


def ds_eplb(weights: np.ndarray, devices: int, redundant: int) -> np.ndarray:
    """Plan a deployment table from expert weights.

    weights: integers or floats [layer, expert], used as float32; redundant: replicas beyond one per expert,
    (experts + redundant) a multiple of devices. Returns int64 [layer, device, slot]. Raises ValueError for
    another number of axes, for weights that float32 holds as infinite or NaN, and for replicas that do not fill the
    devices evenly.
    """
    weights = np.asarray(weights).astype(np.float32)
    if weights.ndim != 2:
        raise ValueError(f"weights must be [layer, expert], got shape {list(weights.shape)}; sum over the window first")
    if not np.isfinite(weights).all():
        raise ValueError("weights must be finite")
    experts = weights.shape[1]
    if (experts + redundant) % devices:
        raise ValueError(f"{experts} experts and {redundant} redundant ones do not fill {devices} devices evenly")
    replica_expert, replica_weight = replicate(weights, redundant)
    return pack(replica_expert, replica_weight, devices)


def replicate(weights: np.ndarray, redundant: int) -> tuple[np.ndarray, np.ndarray]:
    """Give `redundant` times a replica to the first expert with the largest weight per replica.

    weights: float32 [layer, expert]. Returns the expert of every replica, int64 [layer, expert + redundant]
    (the first ones in order of id, then the added ones), and its share of the weight, float32.
    """
    layers, experts = weights.shape
    # Indices into the flattened arrays: half the price of pairs of indices.
    row_starts = np.arange(layers) * experts
    counts = np.ones(layers * experts, np.float32)
    share = weights.copy()
    flat_share, flat_weights = share.reshape(-1), weights.reshape(-1)
    replica_expert = np.empty((layers, experts + redundant), np.int64)
    replica_expert[:, :experts] = np.arange(experts)
    for replica in range(experts, experts + redundant):
        heaviest = share.argmax(axis=1)
        replica_expert[:, replica] = heaviest
        at = row_starts + heaviest
        count = counts[at] + 1
        counts[at] = count
        flat_share[at] = flat_weights[at] / count
    return replica_expert, np.take_along_axis(share, replica_expert, axis=1)


def pack(replica_expert: np.ndarray, replica_weight: np.ndarray, devices: int) -> np.ndarray:
    """Put replicas, heaviest first, each on the first lightest device that has a free slot.

    Both arrays [layer, replica]; loads are accumulated in float32. Devices of one slot take the replicas in their
    order, whatever their weights. Returns int64 [layer, device, slot].
    """
    layers, replicas = replica_expert.shape
    slots = replicas // devices
    if slots == 1:
        return replica_expert.astype(np.int64).reshape(layers, devices, 1)
    order = np.argsort(-replica_weight, axis=1, kind="stable")
    expert_of = np.take_along_axis(replica_expert, order, axis=1).T.copy()
    weight_of = np.take_along_axis(replica_weight, order, axis=1).T.copy()
    # Indices into the flattened arrays, as above.
    row_starts = np.arange(layers) * devices
    loads = np.zeros((layers, devices), np.float32)
    flat_loads = loads.reshape(-1)
    free_slot = np.arange(layers * devices) * slots
    last_slot = free_slot + slots - 1
    table = np.empty(layers * replicas, np.int64)
    for expert, weight in zip(expert_of, weight_of, strict=True):
        at = row_starts + loads.argmin(axis=1)
        slot = free_slot[at]
        table[slot] = expert
        free_slot[at] = slot + 1
        load = flat_loads[at] + weight
        # A full device gets an infinite load, so that one argmin finds the first lightest with a free slot.
        load[slot == last_slot[at]] = np.inf
        flat_loads[at] = load
    return table.reshape(layers, devices, slots)
