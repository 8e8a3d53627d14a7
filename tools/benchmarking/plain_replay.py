"""The replay loop as slowly and plainly as it can be written: an oracle for the simulator."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Rows = list[list[int]]
Policy = Callable[[np.ndarray, np.ndarray, int], "tuple[Any, Any] | None"]


@dataclass
class PlainResult:
    """What one replay yields.

    par: T lists of L floats; transmit_per_iteration: T ints; final_table: [L][D][S];
    calls: (iteration, first, last iteration of the window), all counted from one.
    """

    par: list[list[float]]
    mean_par: float
    transmit_amount: int
    transmit_per_iteration: list[int]
    calls: list[tuple[int, int, int]]
    redeployed_layers: int
    final_table: list[Rows]


def initial_deployment(layers: int, experts: int, devices: int, redundant: int) -> list[Rows]:
    """Build the table that every replay starts from.

    Returns [L][D][S] with S = (E + R) / D.
    """
    slots = (experts + redundant) // devices
    table = []
    for _ in range(layers):
        rows = []
        for d in range(devices):
            first = d * experts // devices
            count = max(1, (d + 1) * experts // devices - first)
            rows.append([first + min(s, count - 1) for s in range(slots)])
        table.append(rows)
    return table


def plain_par(expert_hotness: Sequence[int], rows: Rows) -> float:
    """Measure the PAR of one layer in one iteration.

    expert_hotness: [E], without zeros; rows: [D][S].
    """
    loads = [0.0] * len(rows)
    for expert, tokens in enumerate(expert_hotness):
        holders = [d for d, row in enumerate(rows) for held in row if held == expert]
        share = tokens / len(holders)
        for d in holders:
            loads[d] += share
    return max(loads) * len(rows) / sum(expert_hotness)


def plain_replay(
    hotness: np.ndarray, devices: int, window: int, latency: int, policy: Policy, redundant: int | None = None
) -> PlainResult:
    """Replay one case; redundant: by default one for each device.

    hotness: integers [T, L, E] as stored; policy(window_hotness [window, L, E],
    deployment [L, D, S], iteration) -> None or (layers_priority, table [L, D, S]).
    """
    if hotness.dtype.kind not in "iu":
        raise ValueError(f"hotness must hold integers, not {hotness.dtype}")
    iterations, layers, experts = hotness.shape
    redundant = devices if redundant is None else redundant
    if (experts + redundant) % devices != 0 or window < 1 or iterations < window + 2:
        raise ValueError("need: devices divide experts + redundant, window >= 1, iterations >= window + 2")
    tokens = [[[max(int(v), 1) for v in layer] for layer in step] for step in hotness]

    table = initial_deployment(layers, experts, devices, redundant)
    par: list[list[float]] = []
    transmits: list[int] = []
    calls: list[tuple[int, int, int]] = []
    pending: list[int] = []
    new_table: list[Rows] = []
    finish = countdown = redeployed_layers = 0

    for i in range(1, iterations + 1):
        par.append([plain_par(tokens[i - 1][layer], table[layer]) for layer in range(layers)])

        changed = 0
        if pending and countdown > 0:
            countdown -= 1
        elif pending:
            layer = pending.pop(0)
            for d, row in enumerate(new_table[layer]):
                for s, expert in enumerate(row):
                    if table[layer][d][s] != expert:
                        table[layer][d][s] = expert
                        changed += 1
            redeployed_layers += 1
            if not pending:
                finish = i
        transmits.append(changed)

        if not pending and i == finish + window + 1:
            calls.append((i, i - window + 1, i))
            seen = np.array(tokens[i - window : i], dtype=np.int32)
            answer = policy(seen, np.array(table, dtype=np.int64), i)
            if answer is None or len(answer[0]) == 0:
                finish = i
            else:
                pending = [int(layer) for layer in answer[0]]
                # Copied, because the policy may go on writing to the table it answered with.
                new_table = [[[int(e) for e in row] for row in rows] for rows in answer[1]]
                countdown = latency

    mean_par = round(math.fsum(v for step in par for v in step) / (iterations * layers), 12)
    return PlainResult(par, mean_par, sum(transmits), transmits, calls, redeployed_layers, table)
