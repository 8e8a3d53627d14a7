"""The same plan with devices renamed and slots reordered, so that few slots change."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment


def relabel(table: np.ndarray, live: np.ndarray, experts: int) -> np.ndarray:
    """The devices of `table` in the places where the live table holds most of their experts; slots aligned.

    Both: int [layer, device, slot]. Returns int64. PAR stays, as no set of experts on a device changes.
    """
    held = [_held(rows, experts) for rows in (live, table)]
    result = np.empty(table.shape, np.int64)
    for layer, rows in enumerate(table):
        common = held[0][layer] @ held[1][layer].T
        _, source = linear_sum_assignment(-common)
        result[layer] = rows[source]
    return align_slots(result, live)


def align_slots(table: np.ndarray, live: np.ndarray) -> np.ndarray:
    """Each device's experts in the slots that hold them already, the rest in the slots that are left, in order."""
    rest, aligned = table.copy(), np.full(table.shape, -1, np.int64)
    for slot in range(table.shape[2]):
        for other in range(table.shape[2]):
            stays = (aligned[:, :, slot] < 0) & (rest[:, :, other] == live[:, :, slot]) & (rest[:, :, other] >= 0)
            aligned[stays, slot] = rest[stays, other]
            rest[stays, other] = -1
    empty, left = aligned < 0, rest >= 0
    aligned[empty] = rest[left]
    return aligned


def _held(table: np.ndarray, experts: int) -> np.ndarray:
    """How often each device holds each expert: float32 [layer, device, expert]."""
    layers, devices, _ = table.shape
    held = np.zeros((layers, devices, experts), np.float32)
    np.add.at(held, (np.arange(layers)[:, None, None], np.arange(devices)[:, None], table), 1)
    return held
