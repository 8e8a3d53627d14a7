"""Empty slots: the replicas that a table lacks, each on the lightest device that may take it."""

from __future__ import annotations

import numpy as np


def fill(table: np.ndarray, replicas: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The table with its empty slots filled, heaviest replicas first, no expert twice on a device.

    table: int [layer, device, slot], -1 where empty; replicas: how many each expert gets, int [layer, expert], in sum
    the slots of a layer; weight: of one replica, [layer, expert]. Where only devices are left that hold the expert
    already, a replica that was put there before makes room, on the lightest device that has one. Returns int64; a slot
    for which that fails, too, stays -1. Raises ValueError where a table holds more of an expert than it gets.
    """
    table = np.array(table, np.int64)
    layers, devices, _ = table.shape
    row = np.arange(layers)
    experts = weight.shape[1]
    held = np.zeros((layers, devices, experts + 1), bool)
    held[row[:, None, None], np.arange(devices)[:, None], table] = True
    there = np.stack([np.bincount(rows[rows >= 0], minlength=experts) for rows in table])
    if (there > replicas).any():
        layer, expert = np.argwhere(there > replicas)[0]
        raise ValueError(
            f"layer {layer} holds expert {expert} {there[layer, expert]} times; expected at most "
            f"{replicas[layer, expert]}, the replicas that it gets; empty the others' slots first"
        )
    carried = np.where(table >= 0, weight[row[:, None, None], table], 0).sum(axis=2)
    order = np.argsort(-weight, axis=1, kind="stable")
    lacking = [np.repeat(line, (replicas - there)[layer, line]) for layer, line in enumerate(order)]
    empty = table < 0
    for step in range(max(map(len, lacking), default=0)):
        going = np.array([layer for layer in row if step < len(lacking[layer])])
        expert = np.array([lacking[layer][step] for layer in going])
        value = np.where((table[going] < 0).any(axis=2) & ~held[going, :, expert], carried[going], np.inf)
        device = value.argmin(axis=1)
        for layer, one, to, least in zip(going, expert, device, value.min(axis=1), strict=True):
            place = (to, table[layer, to].argmin()) if np.isfinite(least) else None
            place = place or _room(table[layer], empty[layer], held[layer], carried[layer], one, weight[layer])
            if place:
                table[layer][place], held[layer, place[0], one] = one, True
                carried[layer, place[0]] += weight[layer, one]
    return table


def _room(
    rows: np.ndarray, empty: np.ndarray, held: np.ndarray, carried: np.ndarray, expert: int, weight: np.ndarray
) -> tuple[int, int] | None:
    """Move a replica that was put into `empty` slots to the first one that is still empty; says which slot is free."""
    to, its_slot = np.argwhere(rows < 0)[0]
    fits = empty & (rows >= 0) & ~held[:, expert, None] & ~held[to][rows]
    if not fits.any():
        return None
    device, slot = divmod(int(np.where(fits, carried[:, None], np.inf).argmin()), rows.shape[1])
    other = rows[device, slot]
    rows[to, its_slot], held[to, other], held[device, other] = other, True, False
    carried[to] += weight[other]
    carried[device] -= weight[other]
    return device, slot
