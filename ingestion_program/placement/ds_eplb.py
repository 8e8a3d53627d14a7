"""DS-EPLB: DeepSeek's load balancer, exact, all layers at once: the global mode, and the hierarchical one.

Algorithm: deepseek-ai/EPLB, `rebalance_experts_hierarchical` (`balanced_packing` of groups to nodes, then for each node
`replicate_experts` and `balanced_packing` over its devices), with a stable sort.
"""

from __future__ import annotations

import numpy as np

# Half of what float32 holds. A share is rounded once, a load at every addition, each time by a factor of at most
# 1 + 2^-24: 2^23 replicas do not double a sum.
LARGEST_SUM = 2.0**127


def ds_eplb(weights: np.ndarray, devices: int, redundant: int, groups: int = 1, nodes: int = 1) -> np.ndarray:
    """Plan a deployment table from expert weights.

    weights: integers or floats [layer, expert], used as float32; redundant: replicas beyond one per expert,
    (experts + redundant) a multiple of devices; groups: of neighbouring experts, each kept on one node; nodes: of
    neighbouring devices. One group on one node is the global mode. Negative weights are planned as by DeepSeek's code.
    Returns int64 [layer, device, slot]. Raises ValueError for another number of axes, for weights that are not finite
    or whose sums float32 might not hold, and for numbers that are too small or do not divide evenly; DeepSeek's code
    plans globally where nodes do not divide groups.
    """
    weights = np.asarray(weights)
    if weights.ndim != 2:
        raise ValueError(f"weights must be [layer, expert], got shape {list(weights.shape)}; sum over the window first")
    layers, experts = weights.shape
    _check_sizes(experts, devices, redundant, groups, nodes)
    _check_sums(weights)
    weights = weights.astype(np.float32)
    node_experts = experts_of_nodes(weights, groups, nodes)
    node_weights = np.take_along_axis(np.repeat(weights, nodes, axis=0), node_experts, axis=1)
    replica_position, replica_weight = replicate(node_weights, redundant // nodes)
    replica_expert = np.take_along_axis(node_experts, replica_position, axis=1)
    table = pack(replica_expert, replica_weight, devices // nodes)
    return table.reshape(layers, devices, (experts + redundant) // devices)


def experts_of_nodes(weights: np.ndarray, groups: int, nodes: int) -> np.ndarray:
    """Pack groups of experts, heaviest first, to the nodes; a node's experts follow its groups' order.

    weights: float32 [layer, expert]. A group's weight is summed in float64 and rounded once to float32 (DeepSeek's
    code leaves the order of that sum to PyTorch). Returns int64 [layer * node, expert of the node].
    """
    layers, experts = weights.shape
    size = experts // groups
    group_weight = weights.reshape(layers, groups, size).sum(axis=2, dtype=np.float64).astype(np.float32)
    node_groups = pack(np.tile(np.arange(groups), (layers, 1)), group_weight, nodes)
    return (node_groups[..., None] * size + np.arange(size)).reshape(layers * nodes, experts // nodes)


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


def _check_sizes(experts: int, devices: int, redundant: int, groups: int, nodes: int) -> None:
    least = {"experts": (experts, 1), "devices": (devices, 1), "redundant": (redundant, 0)}
    for name, (number, smallest) in (least | {"groups": (groups, 1), "nodes": (nodes, 1)}).items():
        if number < smallest:
            raise ValueError(f"{name} must be at least {smallest}, got {number}")
    if (experts + redundant) % devices:
        raise ValueError(f"{experts} experts and {redundant} redundant ones do not fill {devices} devices evenly")
    for whole, what, part, parts in (
        (experts, "experts", groups, "groups"),
        (groups, "groups", nodes, "nodes"),
        (devices, "devices", nodes, "nodes"),
    ):
        if whole % part:
            raise ValueError(f"{whole} {what} do not fill {part} {parts} evenly")


def _check_sums(weights: np.ndarray) -> None:
    """Refuse what could make a load infinite, which stands for a full device."""
    with np.errstate(over="ignore"):
        sizes = np.abs(weights.astype(np.float64))
        sums = sizes.sum(axis=1)
    if not np.isfinite(sizes).all():
        raise ValueError("weights must be finite")
    if sums.max(initial=0) > LARGEST_SUM:
        layer = sums.argmax()
        raise ValueError(
            f"weights of layer {layer} sum to {sums[layer]:.3g}, without their signs; expected at most "
            f"{LARGEST_SUM:.3g}, half of what float32 holds; divide all weights by one number"
        )
