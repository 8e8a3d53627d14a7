"""Deployment tables: integer arrays [layer, device, slot] -> logical expert."""

from __future__ import annotations

import numpy as np


def initial_deployment(layers: int, experts: int, devices: int, redundant: int | None = None) -> np.ndarray:
    """The deployment every case starts with: contiguous experts, of which a device's last one fills its further slots.

    redundant: slots of a layer beyond one per expert, by default one on each device. Returns int64
    [layers, devices, (experts + redundant) // devices]. Devices must divide experts + redundant. Where devices do not
    divide the experts, some get one more than others; where there are more devices than experts, neighbours share
    one. Raises ValueError for sizes that do not fit.
    """
    redundant = devices if redundant is None else redundant
    if redundant < 0 or (experts + redundant) % devices:
        raise ValueError(f"{experts} experts and {redundant} redundant ones do not fill {devices} devices evenly")
    slots = (experts + redundant) // devices
    first = np.arange(devices + 1, dtype=np.int64) * experts // devices
    count = np.maximum(np.diff(first), 1)
    rows = first[:-1, None] + np.minimum(np.arange(slots), count[:, None] - 1)
    return np.tile(rows, (layers, 1, 1))


def replica_counts(rows: np.ndarray, experts: int) -> np.ndarray:
    """How many slots of one layer's rows [device, slot] hold each expert: int64 [experts]."""
    return np.bincount(rows.ravel(), minlength=experts)


def changed_slots(before: np.ndarray, after: np.ndarray) -> int:
    """Transmit amount between two tables of one shape, compared slot by slot."""
    return int(np.count_nonzero(before != after))
