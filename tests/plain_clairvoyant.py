"""Clairvoyant DS-EPLB as plainly as it can be written: an oracle for the yardstick."""

from __future__ import annotations

import numpy as np

from benchmarking.plain_replay import initial_deployment, plain_par, plain_replay
from plain_ds_eplb import plain_ds_eplb


def plain_clairvoyant(
    hotness: np.ndarray, devices: int, window: int, latency: int, redundant: int, groups: int = 1, nodes: int = 1
) -> list[list[float]]:
    """PAR of every iteration and layer, T lists of L floats.

    hotness: integers [T, L, E] as stored.
    """
    iterations, layers, experts = hotness.shape
    tokens = [[[max(int(v), 1) for v in layer] for layer in step] for step in hotness]

    def plan(weights):
        return plain_ds_eplb(weights, devices, redundant, groups, nodes)

    def always(seen, deployment, iteration):
        return list(range(layers)), plan(seen.sum(axis=0, dtype=np.int64))

    calls = [call for call, _, _ in plain_replay(hotness, devices, window, latency, always, redundant).calls]
    table = initial_deployment(layers, experts, devices, redundant)
    par = []
    for i in range(1, iterations + 1):
        par.append([plain_par(tokens[i - 1][layer], table[layer]) for layer in range(layers)])
        if i in calls and i < iterations:
            later = [call for call in calls if call > i]
            last = later[0] if later else iterations
            coming = [
                [sum(tokens[j - 1][layer][expert] for j in range(i + 1, last + 1)) for expert in range(experts)]
                for layer in range(layers)
            ]
            table = plan(coming)
    return par
