"""Greedy packing by a score of load, burst, affinity and distance; with all weights 0 it is heaviest first."""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np

from ..serving.torus import Torus
from ..traces.batches import Batches
from ..traces.statistics import coactivation
from .topology import demand_of


@dataclass(frozen=True)
class Weights:
    """What a device's score adds to its load, in units of the mean device load; the device of the least score is taken.

    burst: times the largest load of a batch after the replica came; affinity: times the part of the expert's tokens
    that another expert of the device serves too; distance: times the mean hops of the expert's tokens to the device.
    """

    burst: float = 0.0
    affinity: float = 0.0
    distance: float = 0.0


def greedy_table(
    batches: Batches, counts: np.ndarray, torus: Torus, slots: int, weights: Weights = Weights()
) -> np.ndarray:
    """Put replicas, heaviest first, each on the device with the least score that has a slot and not the expert.

    counts: replicas of each expert. Returns int64 [device, slot], -1 where a slot is empty; a device that holds the
    expert is taken where there is no other. Raises ValueError for more replicas than slots.
    """
    if counts.sum() > torus.devices * slots:
        raise ValueError(f"{counts.sum()} replicas do not fit into {torus.devices * slots} slots")
    weight = batches.load.mean(axis=0) / counts
    size = np.diff(batches.starts)[:, None] * batches.choices.shape[1] / torus.devices
    level = (batches.load / counts / size).T
    burst, affinity, distance = astuple(weights)
    demand = demand_of(batches, torus.rows)
    own = np.maximum(demand.sum(axis=1, keepdims=True), 1)
    far = distance * np.repeat(demand / own @ torus.hops, torus.cols, axis=1)
    near = affinity * coactivation(batches.choices, batches.experts) / own.T if affinity else None
    load, carried = np.zeros(torus.devices), np.zeros((torus.devices, batches.count))
    beside = np.zeros((torus.devices, batches.experts))
    table, used = np.full((torus.devices, slots), -1, np.int64), np.zeros(torus.devices, np.int64)
    ids = np.repeat(np.arange(batches.experts), counts)
    for expert in ids[np.argsort(-weight[ids], kind="stable")].tolist():
        after = carried + level[expert]
        score = load / size.mean() + far[expert]
        if burst:
            score += burst * after.max(axis=1)
        if near is not None:
            score += beside[:, expert]
        score[used == slots] = np.inf
        holds = (table == expert).any(axis=1)
        if (holds < (used < slots)).any():
            score[holds] = np.inf
        device = int(score.argmin())
        table[device, used[device]] = expert
        used[device] += 1
        load[device] += weight[expert]
        carried[device] = after[device]
        if near is not None:
            beside[device] += near[expert]
    return table
