"""The same plan with slots reordered on each device, so that few slots change."""

from __future__ import annotations

import numpy as np


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
