"""The deployment tables of the published placement simulator, and the order of its lists of replicas.

Its results depend on that order. Source: johanna-rock/moe-balance, commit 700358b, restated from its description.
Experts weigh their full count for every replica, which over-weights replicated ones: that is part of what is
reproduced.

Measured: both strategies give the published digits on both traces, over rows and over columns.
"""

from __future__ import annotations

import numpy as np

from planning.replication import one_more

from ..serving.torus import Torus
from ..traces.batches import Batches
from ..traces.statistics import coactivation

# What a row's load counts against the tokens that its experts share with another.
LOAD_PRICE = 0.1


def published_table(
    batches: Batches,
    torus: Torus,
    slots: int = 3,
    axis: str = "row",
    strategy: str = "balance",
    top: int = 32,
) -> tuple[np.ndarray, np.ndarray]:
    """Plan as the published simulator does: one replica more each, balance over rows or columns, then over devices.

    batches: with the shared expert as the last id; slots: per device; strategy: "balance" or "load_coactivation", which
    draws the first replicas of all but the `top` hottest experts to where those are that tokens choose with them.
    Returns (table, order), both int64 [device, slot]: experts, and each replica's place in its expert's list. Raises
    ValueError for too few slots, another axis or another strategy.
    """
    if axis not in ("row", "col"):
        raise ValueError(f"the axis is row or col, got {axis!r}")
    if strategy not in ("balance", "load_coactivation"):
        raise ValueError(f"the strategy is balance or load_coactivation, got {strategy!r}")
    load = batches.load.sum(axis=0).astype(np.float64)
    routed = slots * torus.devices - torus.rows
    replicas = np.append(one_more(load[:-1], routed), torus.rows)
    experts = sorted(range(len(load)), key=lambda expert: (-replicas[expert], -load[expert], expert))
    together = None if strategy == "balance" else coactivation(batches.choices, batches.experts)
    units = _over_units(experts, replicas, load, torus, slots, axis, together, top)
    return _over_devices(experts, units, load, torus, slots, axis)


def _over_units(
    experts: list[int],
    replicas: np.ndarray,
    load: np.ndarray,
    torus: Torus,
    slots: int,
    axis: str,
    together: np.ndarray | None,
    top: int,
) -> dict[int, list[int]]:
    """The rows or columns of each expert's replicas: the lightest, of equal ones the farthest from its other replicas.

    together: tokens of each pair [expert, expert], by which first replicas are drawn, or None.
    """
    count, other = (torus.rows, torus.cols) if axis == "row" else (torus.cols, torus.rows)
    carried, room = np.zeros(count), np.full(count, slots * other)
    units: dict[int, list[int]] = {expert: [] for expert in experts}

    def put(expert: int, unit: int | None = None) -> None:
        if unit is None or not room[unit]:
            unit = min(
                np.flatnonzero(room).tolist(),
                key=lambda unit: (carried[unit], -_nearest(unit, units[expert], count), unit),
            )
        units[expert].append(unit)
        carried[unit] += load[expert]
        room[unit] -= 1
        if together is not None:
            drawn[unit] += together[expert]

    if together is not None:
        drawn = np.zeros((count, len(load)))
        for rank, expert in enumerate(sorted(experts, key=lambda expert: (-load[expert], expert))):
            put(expert, int((drawn[:, expert] - LOAD_PRICE * carried).argmax()) if rank >= top else None)
        # The second loop goes by the number of replicas alone, whatever the loads.
        experts = sorted(experts, key=lambda expert: (-replicas[expert], expert))
    for expert in experts:
        for _ in range(replicas[expert] - len(units[expert])):
            put(expert)
    return units


def _over_devices(
    experts: list[int], units: dict[int, list[int]], load: np.ndarray, torus: Torus, slots: int, axis: str
) -> tuple[np.ndarray, np.ndarray]:
    table, order = (np.full((torus.devices, slots), empty, np.int64) for empty in (-1, 0))
    carried, used = np.zeros(torus.devices), np.zeros(torus.devices, np.int64)
    for expert in experts:
        rows: list[int] = []
        cols: list[int] = []
        for place, unit in enumerate(units[expert]):
            devices = np.arange(torus.devices).reshape(torus.rows, torus.cols)
            candidates = devices[unit] if axis == "row" else devices[:, unit]

            def key(device: int, rows: list[int] = rows, cols: list[int] = cols) -> tuple[float, ...]:
                row, col = divmod(device, torus.cols)
                apart = (-_nearest(row, rows, torus.rows), -_nearest(col, cols, torus.cols))
                return (carried[device], used[device], apart[axis == "col"], *apart, device)

            device = min((d for d in candidates.tolist() if used[d] < slots), key=key)
            table[device, used[device]], order[device, used[device]] = expert, place
            carried[device] += load[expert]
            used[device] += 1
            rows.append(device // torus.cols)
            cols.append(device % torus.cols)
    return table, order


def _nearest(place: int, others: list[int], size: int) -> int:
    """Ring distance to the nearest of the others; 0 where there is none."""
    return min((min(abs(place - o), size - abs(place - o)) for o in others), default=0)
