"""Deployment tables: integer arrays [layer, device, slot] -> logical expert."""

from __future__ import annotations

import numpy as np


def initial_deployment(layers: int, experts: int, devices: int) -> np.ndarray:
    """The deployment every case starts with: contiguous experts, the last slot repeats the one before it.

    Returns int64 [layers, devices, experts // devices + 1]. Devices must divide experts.
    """
    contiguous = np.arange(experts, dtype=np.int64).reshape(devices, experts // devices)
    rows = np.concatenate([contiguous, contiguous[:, -1:]], axis=1)
    return np.tile(rows, (layers, 1, 1))


def replica_counts(rows: np.ndarray, experts: int) -> np.ndarray:
    """How many slots of one layer's rows [device, slot] hold each expert: int64 [experts]."""
    return np.bincount(rows.ravel(), minlength=experts)


def changed_slots(before: np.ndarray, after: np.ndarray) -> int:
    """Transmit amount between two tables of one shape, compared slot by slot."""
    return int(np.count_nonzero(before != after))
