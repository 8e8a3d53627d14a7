"""What moving experts takes: bytes over a link, charged to the batch before which a plan is replaced."""

from __future__ import annotations

import numpy as np

# The competition's: the bytes of an expert, and bytes per second.
SLOT_BYTES = 88_080_384
BANDWIDTH = 900e9


def moved_slots(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """How many slots of each device get another expert: int64 [device]. Both: int [device, slot]."""
    return np.count_nonzero(before != after, axis=1)


def charge(moved: np.ndarray, bandwidth: float = BANDWIDTH, serial: bool = False) -> np.ndarray:
    """The us that each batch waits for the slots moved before it: float64 [batch].

    moved: slots that each device receives, int64 [batch, device]; bandwidth: bytes per second of a link. Every device
    receives over a link of its own, so the one that receives most decides; serial: all slots go over one link, as the
    competition's transmit time counts them.
    """
    slots = moved.sum(axis=1) if serial else moved.max(axis=1)
    return 1e6 * SLOT_BYTES / bandwidth * slots
