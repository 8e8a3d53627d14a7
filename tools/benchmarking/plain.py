"""What the fast replay is compared with: loops that look at one layer in one iteration at a time."""

from __future__ import annotations

import numpy as np

from benchmarking.clock import median_seconds
from benchmarking.first_edition import layer_par
from benchmarking.plain_replay import plain_replay

# Iterations and layers of the slice that is timed and scaled to the whole trace.
SLICE = (6, 4)


def plain_seconds(stored: np.ndarray, devices: int, redundant: int) -> float:
    """Seconds of plain_replay on a whole trace, timed on a slice and scaled by (iteration, layer).

    stored: integers [iteration, layer, expert].
    """
    part = stored[: SLICE[0], : SLICE[1]]

    def decline(window: object, deployment: object, iteration: int) -> None:
        return None

    return _scaled(median_seconds(lambda: plain_replay(part, devices, 2, 0, decline, redundant), 3), part, stored)


def numpy_loop_seconds(stored: np.ndarray, rows: np.ndarray) -> float:
    """Seconds of the obvious numpy loop on a whole trace, timed on a slice and scaled likewise.

    rows: [device, slot] -> expert, used for every layer.
    """
    part = np.maximum(stored[: 16 * SLICE[0], : SLICE[1]], 1)
    replicas = np.bincount(rows.ravel(), minlength=part.shape[2])

    def loop() -> None:
        for step in part:
            for hotness in step:
                layer_par(hotness, replicas, rows)

    return _scaled(median_seconds(loop, 5), part, stored)


def _scaled(seconds: float, part: np.ndarray, stored: np.ndarray) -> float:
    return seconds * stored.shape[0] * stored.shape[1] / (part.shape[0] * part.shape[1])
