"""Which device each replica goes to."""

from __future__ import annotations

import numpy as np


def heaviest_first(
    experts: np.ndarray, weights: np.ndarray, table: np.ndarray, load: np.ndarray, group: np.ndarray | None = None
) -> np.ndarray:
    """Put replicas, heaviest first, each on the lightest device with an empty slot.

    experts, weights: of each replica; table: int [device, slot], -1 where a slot is empty; load: what the devices carry
    already, float [device]; group: int [device], its row for example. A device that holds the expert is taken only when
    there is no other, and a group that does only after all others. Returns int64 [device, slot]. Raises ValueError
    when there are more replicas than empty slots.
    """
    table, load = np.array(table, np.int64), np.array(load, np.float64)
    free = (table < 0).sum(axis=1)
    if free.sum() < len(experts):
        raise ValueError(f"{len(experts)} replicas do not fit into {free.sum()} empty slots")
    group = np.arange(len(table)) if group is None else np.asarray(group)
    for replica in np.argsort(-np.asarray(weights, np.float64), kind="stable"):
        holds = (table == experts[replica]).any(axis=1)
        near = np.isin(group, group[holds])
        order = np.lexsort((load, near, holds, free == 0))
        device = order[0]
        table[device, np.flatnonzero(table[device] < 0)[0]] = experts[replica]
        load[device] += weights[replica]
        free[device] -= 1
    return table


def pairs(load: np.ndarray, devices: int) -> np.ndarray:
    """The i-th hottest expert with the i-th coldest on one device.

    load: [expert], two experts for each device. Returns int64 [device, 2]; no other pairing has a smaller largest load.
    Raises ValueError for another number of experts.
    """
    if len(load) != 2 * devices:
        raise ValueError(f"{len(load)} experts are no pairs on {devices} devices; expected {2 * devices}")
    order = np.argsort(-np.asarray(load), kind="stable")
    return np.column_stack([order[:devices], order[devices:][::-1]]).astype(np.int64)


def deal_out(experts: np.ndarray, weights: np.ndarray, table: np.ndarray, load: np.ndarray) -> np.ndarray:
    """Deal replicas out in rounds, hottest first; in each, the heaviest device gets the coldest: pairs for more slots.

    experts, weights: of each replica; table: int [device, slot], -1 where a slot is empty; load: what the devices carry
    already, float [device]. Returns int64 [device, slot]. Raises ValueError for more replicas than empty slots.
    """
    table, load = np.array(table, np.int64), np.array(load, np.float64)
    free = (table < 0).sum(axis=1)
    if free.sum() < len(experts):
        raise ValueError(f"{len(experts)} replicas do not fit into {free.sum()} empty slots")
    order = np.argsort(-np.asarray(weights, np.float64), kind="stable")
    while len(order):
        # Devices with the most empty slots first, so that all are full at the same time.
        open_devices = np.flatnonzero(free == free.max())
        lightest = open_devices[np.argsort(load[open_devices], kind="stable")][: len(order)]
        for device, replica in zip(lightest, order, strict=False):
            table[device, np.flatnonzero(table[device] < 0)[0]] = experts[replica]
            load[device] += weights[replica]
        free[lightest] -= 1
        order = order[len(lightest) :]
    return table
