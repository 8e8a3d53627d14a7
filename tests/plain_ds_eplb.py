"""DS-EPLB in both modes, one float32 scalar at a time: an oracle for the baseline planner."""

from __future__ import annotations

import numpy as np


def replicate(weights: list[np.float32], redundant: int) -> tuple[list[int], list[int]]:
    """Choose which experts get the redundant replicas.

    weights: [E]. Returns the replicas' experts [E + R], in the order in which they were
    added, and the replica counts [E].
    """
    replicas = list(range(len(weights)))
    counts = [1] * len(weights)
    for _ in range(redundant):
        hottest = 0
        for expert in range(1, len(weights)):
            # Strictly greater, so that of equals the first one stays.
            if share(weights, counts, expert) > share(weights, counts, hottest):
                hottest = expert
        replicas.append(hottest)
        counts[hottest] += 1
    return replicas, counts


def share(weights: list[np.float32], counts: list[int], expert: int) -> np.float32:
    """Divide an expert's weight over its replicas.

    weights: [E]; counts: [E].
    """
    # NumPy 1 widens float32 / int scalars to float64, hence the cast of the count.
    return weights[expert] / np.float32(counts[expert])


def pack(replicas: list[int], shares: list[np.float32], devices: int) -> list[list[int]]:
    """Put replicas on devices, heaviest first, each on the lightest device with a free slot.

    replicas: [E + R] expert ids; shares: [E + R]. As many replicas as devices are not sorted. Returns [D][S].
    """
    if len(replicas) == devices:
        return [[expert] for expert in replicas]
    slots = len(replicas) // devices
    rows: list[list[int]] = [[] for _ in range(devices)]
    loads = [np.float32(0)] * devices
    # sorted() keeps the order of equals, also with reverse=True.
    for r in sorted(range(len(replicas)), key=lambda r: shares[r], reverse=True):
        lightest = -1
        for d in range(devices):
            if len(rows[d]) < slots and (lightest < 0 or loads[d] < loads[lightest]):
                lightest = d
        rows[lightest].append(replicas[r])
        loads[lightest] = loads[lightest] + shares[r]
    return rows


def plain_ds_eplb(
    weights: np.ndarray, devices: int, redundant: int, groups: int = 1, nodes: int = 1
) -> list[list[list[int]]]:
    """Plan a deployment table from the window's summed hotness.

    weights: integers [L, E]. Returns [L][D][S] with S = (E + R) / D. Groups and nodes must divide what they part.
    """
    experts = len(weights[0])
    if (experts + redundant) % devices != 0:
        raise ValueError(f"{experts} + {redundant} replicas do not fill {devices} devices evenly")
    size = experts // groups
    table = []
    for layer in weights:
        layer_weights = [np.float32(int(w)) for w in layer]
        group_weights = []
        for group in range(groups):
            exact = sum(int(w) for w in layer_weights[group * size : (group + 1) * size])
            group_weights.append(np.float32(exact))
        rows = []
        for node_groups in pack(list(range(groups)), group_weights, nodes):
            members = [group * size + place for group in node_groups for place in range(size)]
            member_weights = [layer_weights[expert] for expert in members]
            places, counts = replicate(member_weights, redundant // nodes)
            shares = [share(member_weights, counts, place) for place in places]
            rows += pack([members[place] for place in places], shares, devices // nodes)
        table.append(rows)
    return table
