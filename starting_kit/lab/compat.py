"""The published placement simulator's own plans, with the order of its lists of copies, on which its results depend.

Source: johanna-rock/moe-balance, commit 700358b, strategy `balance`, restated from its description. Experts weigh their
full count for every copy, which over-weights replicated ones: that is part of what is reproduced.
"""

from __future__ import annotations

import numpy as np

from planning.replication import one_more

from .batches import Batches
from .torus import Torus


def initial_placement(
    batches: Batches, torus: Torus, slots: int = 3, axis: str = "row"
) -> tuple[np.ndarray, np.ndarray]:
    """Plan as the published simulator does: +1 copies, balance over rows or columns, then over their devices.

    batches: with the shared expert as the last id; slots: per device. Returns (plan, order), both int64 [device, slot]:
    experts, and each copy's place in its expert's list. Raises ValueError for too few slots or another axis.
    """
    if axis not in ("row", "col"):
        raise ValueError(f"the axis is row or col, got {axis!r}")
    load = batches.load.sum(axis=0).astype(np.float64)
    routed = slots * torus.devices - torus.rows
    copies = np.append(one_more(load[:-1], routed), torus.rows)
    experts = sorted(range(len(load)), key=lambda expert: (-copies[expert], -load[expert], expert))
    units = _over_units(experts, copies, load, torus, slots, axis)
    return _over_devices(experts, units, load, torus, slots, axis)


def _over_units(
    experts: list[int], copies: np.ndarray, load: np.ndarray, torus: Torus, slots: int, axis: str
) -> dict[int, list[int]]:
    """The rows or columns of each expert's copies: the lightest, of equal ones the farthest from its other copies."""
    count, other = (torus.rows, torus.cols) if axis == "row" else (torus.cols, torus.rows)
    carried, room = np.zeros(count), np.full(count, slots * other)
    units: dict[int, list[int]] = {expert: [] for expert in experts}
    for expert in experts:
        for _ in range(copies[expert]):
            unit = min(
                np.flatnonzero(room).tolist(),
                key=lambda unit: (carried[unit], -_nearest(unit, units[expert], count), unit),
            )
            units[expert].append(unit)
            carried[unit] += load[expert]
            room[unit] -= 1
    return units


def _over_devices(
    experts: list[int], units: dict[int, list[int]], load: np.ndarray, torus: Torus, slots: int, axis: str
) -> tuple[np.ndarray, np.ndarray]:
    plan, order = (np.full((torus.devices, slots), empty, np.int64) for empty in (-1, 0))
    carried, used = np.zeros(torus.devices), np.zeros(torus.devices, np.int64)
    for expert in experts:
        rows: list[int] = []
        cols: list[int] = []
        for place, unit in enumerate(units[expert]):
            own = np.arange(torus.devices).reshape(torus.rows, torus.cols)
            candidates = own[unit] if axis == "row" else own[:, unit]

            def key(device: int, rows: list[int] = rows, cols: list[int] = cols) -> tuple[float, ...]:
                row, col = divmod(device, torus.cols)
                apart = (-_nearest(row, rows, torus.rows), -_nearest(col, cols, torus.cols))
                return (carried[device], used[device], apart[axis == "col"], *apart, device)

            device = min((d for d in candidates.tolist() if used[d] < slots), key=key)
            plan[device, used[device]], order[device, used[device]] = expert, place
            carried[device] += load[expert]
            used[device] += 1
            rows.append(device // torus.cols)
            cols.append(device % torus.cols)
    return plan, order


def _nearest(place: int, others: list[int], size: int) -> int:
    """Ring distance to the nearest of the others; 0 where there is none."""
    return min((min(abs(place - o), size - abs(place - o)) for o in others), default=0)
