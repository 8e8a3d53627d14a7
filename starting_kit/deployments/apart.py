"""Takes apart experts that lie twice on a device, by exchanges that keep the busiest device's load."""

from __future__ import annotations

import numpy as np

from placement.balance import device_loads
from placement.deployment import replica_counts
from placement.errors import Problem


def twice(table: np.ndarray) -> list[tuple[int, int, int]]:
    """Where an expert lies on a device that already holds it: (layer, device, slot), the later slot of each pair.

    table: int [layer, device, slot].
    """
    order = np.argsort(table, axis=2, kind="stable")
    ranked = np.take_along_axis(table, order, axis=2)
    places = np.argwhere(ranked[:, :, 1:] == ranked[:, :, :-1])
    return sorted((int(layer), int(device), int(order[layer, device, at + 1])) for layer, device, at in places)


def apart(table: np.ndarray, hotness: np.ndarray | None, numbers: tuple[int, ...] | None) -> tuple[np.ndarray, int]:
    """A table in which no device holds an expert twice, and how many slots were exchanged with other devices.

    table: int64 [layer, device, slot]; hotness: [layer, expert], None where unknown (nothing is exchanged then);
    numbers: the model's layer numbers, for errors. An exchange must not raise the load of the layer's busiest device;
    of the allowed exchanges, the one that changes loads least is taken. Raises Problem where no exchange is allowed.
    """
    table, count = table.copy(), 0
    for layer, rows in enumerate(table):
        # Anew after each: an exchange may end two of them.
        while places := twice(rows[None]):
            _, device, slot = places[0]
            other = None if hotness is None else _partner(rows, device, slot, hotness[layer])
            if other is None:
                name = layer if numbers is None else numbers[layer]
                raise _together(rows, device, slot, f"layer {name}", hotness is not None)
            rows[device, slot], rows[other] = rows[other], rows[device, slot]
            count += 1
    return table, count


def _together(rows: np.ndarray, device: int, slot: int, layer: str, known: bool) -> Problem:
    expert, devices = rows[device, slot], len(rows)
    why = "no exchange with another device keeps the busiest device's load"
    why = why if known else "without loads, no exchange is known to be free"
    got = f"expert {expert} twice on device {device}; {why}"
    next_step = "plan with each expert at most once on a device"
    if replica_counts(rows, expert + 1)[expert] > devices:
        next_step = f"plan at most {devices} replicas of an expert, one for each device"
    return Problem("this engine takes an expert only once on a device", got, "once", next_step, layer)


def _partner(rows: np.ndarray, device: int, slot: int, hotness: np.ndarray) -> tuple[int, int] | None:
    """The slot of another device to exchange a slot with; None where every exchange has a cost."""
    expert = rows[device, slot]
    loads = device_loads(hotness[:, None].astype(np.float64), rows)[:, 0]
    share = hotness / np.maximum(replica_counts(rows, len(hotness)), 1)
    # Devices without the expert, and experts that this device has not.
    free = ~(rows == expert).any(axis=1)[:, None] & ~np.isin(rows, rows[device])
    change = share[rows] - share[expert]
    most = np.maximum(loads[device] + change, loads[:, None] - change)
    # Sums in another order differ in their last digits.
    free &= most <= loads.max() * (1 + 1e-12)
    if not free.any():
        return None
    best = np.where(free, np.abs(change), np.inf).argmin()
    return int(best // rows.shape[1]), int(best % rows.shape[1])
