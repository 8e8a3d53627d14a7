"""The same plan with devices renamed and slots reordered, so that few slots change."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from .alignment import align_slots


def relabel(table: np.ndarray, live: np.ndarray, experts: int) -> np.ndarray:
    """The devices of `table` in the places where the live table holds most of their experts; slots aligned.

    Both: int [layer, device, slot]. Returns int64. PAR stays, as no set of experts on a device changes. Of equally good
    orders it is the one whose low places get low devices of `table`: a device's number counts 2^(24 / devices) times as
    much as in the next place, so up to 8 devices it is the first of these orders, as sorted lists of numbers.
    """
    number = np.arange(table.shape[1])
    # Less than 1/2 in sum, while overlaps are whole: no order of less overlap can win.
    low = np.outer(2.0 ** (-24 / len(number) * number), number)
    low /= 2 * low.max(axis=1).sum() + 1
    result = np.empty(table.shape, np.int64)
    for layer, common in enumerate(_overlap(table, live, experts)):
        _, source = linear_sum_assignment(low - common)
        result[layer] = table[layer, source]
    return align_slots(result, live)


def _overlap(table: np.ndarray, live: np.ndarray, experts: int) -> np.ndarray:
    """How many slots may stay where a device of `table` takes a live one's place: int16 [layer, live, of the table]."""
    layers, devices, slots = table.shape
    row = np.arange(layers)[:, None]
    held = np.zeros((layers, experts, devices), np.int16)
    np.add.at(held, (row[..., None], table, np.arange(devices)[:, None]), 1)
    common = np.zeros((layers, devices, devices), np.int16)
    for slot in range(slots):
        # The second slot of an expert finds its like only where the other device holds the expert twice, too.
        before = (live[:, :, :slot] == live[:, :, slot, None]).sum(axis=2)
        common += held[row, live[:, :, slot]] > before[..., None]
    return common
