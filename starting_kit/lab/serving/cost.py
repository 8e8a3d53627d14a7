"""The cost model: dispatch, compute and combine of a batch on a torus, in microseconds.

Published by the placement simulator johanna-rock/moe-balance (commit 700358b), whose figures `compat` reproduces.
latency = max over tokens of dispatch + max over devices of compute + max over tokens of combine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..traces.batches import Batches
from .replicas import Replicas
from .torus import Torus

# Its table of dispatch times: rows best, average and worst hop, columns 1 .. 8 experts in a column.
PUBLISHED_TIMES = np.array(
    [
        [26.868, 96.183, 33.005, 36.073, 39.141, 42.209, 45.277, 48.345],
        [55.258, 66.713, 78.169, 89.624, 101.079, 112.535, 123.990, 135.445],
        [88.238, 96.183, 104.129, 112.074, 120.020, 127.965, 135.911, 143.856],
    ]
)
# The second cell repeats one of the worst row; its neighbours lie 3.068 apart.
CORRECTED_TIMES = PUBLISHED_TIMES.copy()
CORRECTED_TIMES[0, 1] = 29.936
BLOCK = 32


@dataclass(frozen=True)
class Preset:
    """How a batch is timed.

    transfer: (experts in a column or devices, mean hop, largest hop, torus) -> us per token;
    compute: tokens per replica and batch -> us; dense: every replica on a device computes all tokens that come to
    the device, as a functional implementation does, not only those routed to it.
    """

    name: str
    transfer: Callable[[np.ndarray, np.ndarray, np.ndarray, Torus], np.ndarray]
    compute: Callable[[np.ndarray], np.ndarray]
    dense: bool = False


@dataclass(frozen=True, eq=False)
class Latency:
    """Microseconds of each batch: float64 [batch] each."""

    dispatch: np.ndarray
    compute: np.ndarray
    combine: np.ndarray

    @property
    def total(self) -> np.ndarray:
        """The batches' latency."""
        return self.dispatch + self.compute + self.combine


def plane(times: np.ndarray, rows: int) -> np.ndarray:
    """Coefficients (constant, per expert, per mean hop, per largest hop) fitted to such a table for a ring of rows.

    times: as PUBLISHED_TIMES, whose mean and largest hop are equal, so the two last are too: least squares of the
    smallest norm.
    """
    hop = np.repeat([0.0, (rows - 1) / 2, rows / 2], 8)
    terms = np.column_stack([np.ones(24), np.tile(np.arange(1.0, 9.0), 3), hop, hop])
    return np.linalg.lstsq(terms, times.ravel(), rcond=None)[0]


def _by_plane(times: np.ndarray) -> Callable[..., np.ndarray]:
    def transfer(number: np.ndarray, mean_hop: np.ndarray, largest_hop: np.ndarray, torus: Torus) -> np.ndarray:
        constant, per_expert, per_mean, per_largest = plane(times, torus.rows)
        return constant + per_expert * number + per_mean * mean_hop + per_largest * largest_hop

    return transfer


def _by_table(number: np.ndarray, mean_hop: np.ndarray, largest_hop: np.ndarray, torus: Torus) -> np.ndarray:
    """Look-up in the corrected table, linear between hops 0, rows / 4 (a ring's mean) and rows / 2, and beyond 8."""
    at = np.clip(number.astype(np.int64), 1, 8)
    columns = CORRECTED_TIMES[:, at - 1] + (number - at) * (CORRECTED_TIMES[:, 7] - CORRECTED_TIMES[:, 6])[:, None]
    step = np.clip(mean_hop / max(torus.rows / 4, 1e-9), 0, 2)
    return np.where(
        step < 1,
        columns[0] + step * (columns[1] - columns[0]),
        columns[1] + (step - 1) * (columns[2] - columns[1]),
    )


def flat_blocks(tokens: np.ndarray) -> np.ndarray:
    """118 us for every block of 32 tokens; an idle replica costs nothing."""
    return 118.0 * -(-tokens // BLOCK)


def measured_blocks(tokens: np.ndarray) -> np.ndarray:
    """117.5 us for the first block and 130 for each further one, which reproduces the published measurements."""
    blocks = -(-tokens // BLOCK)
    return np.where(blocks > 0, 130.0 * blocks - 12.5, 0.0)


COMPAT = Preset("compat", _by_plane(PUBLISHED_TIMES), flat_blocks)
CORRECTED_PLANE = Preset("corrected", _by_plane(CORRECTED_TIMES), flat_blocks)
MEASURED = Preset("measured", _by_table, measured_blocks)
FUNCTIONAL = Preset("functional", _by_plane(CORRECTED_TIMES), flat_blocks, dense=True)
PRESETS = {preset.name: preset for preset in (COMPAT, CORRECTED_PLANE, MEASURED, FUNCTIONAL)}


def replica_tokens(batches: Batches, replicas: Replicas, routed: np.ndarray) -> np.ndarray:
    """Tokens of each replica in each batch: int64 [batch, replica]. routed: -1 where a token has no expert."""
    size = len(replicas.slot)
    keys = (batches.batch_of_token[:, None] * size + routed)[routed >= 0]
    return np.bincount(keys, minlength=batches.count * size).reshape(batches.count, size)


def device_sums(values: np.ndarray, replicas: Replicas) -> np.ndarray:
    """Sums over the replicas of each device: values [batch, replica] -> [batch, device]."""
    slots = np.zeros((len(values), replicas.table.size), values.dtype)
    slots[:, replicas.slot] = values
    return slots.reshape(len(values), *replicas.table.shape).sum(axis=2)


def transfers(batches: Batches, device: np.ndarray, torus: Torus, preset: Preset) -> tuple[np.ndarray, np.ndarray]:
    """Dispatch and combine of each token in us.

    device: [token, choice], where each choice is served, -1 where a token has no expert. One without any takes no time.
    """
    served = device >= 0
    choices = served.sum(axis=1)
    hops = torus.hops[batches.origins[:, None], torus.row(device)] * served
    mean_hop, largest_hop = hops.sum(axis=1) / np.maximum(choices, 1), hops.max(axis=1)
    keys = (np.arange(len(device))[:, None] * torus.cols + torus.col(device))[served]
    in_column = np.bincount(keys, minlength=len(device) * torus.cols).reshape(len(device), torus.cols).max(axis=1)
    dispatch, combine = (
        np.where(choices > 0, preset.transfer(number, mean_hop, largest_hop, torus), 0.0)
        for number in (in_column, distinct(device.astype(np.int16)))
    )
    return dispatch, combine


def distinct(values: np.ndarray) -> np.ndarray:
    """How many distinct values from 0 each row has: int64 [row]. values: integers [row, column], below 0 for none."""
    ordered = np.sort(values, axis=1)
    return 1 + np.count_nonzero(np.diff(ordered, axis=1), axis=1) - (ordered[:, 0] < 0)


def latency(batches: Batches, replicas: Replicas, routed: np.ndarray, torus: Torus, preset: Preset = COMPAT) -> Latency:
    """Time every batch. routed: [token, choice] -> replica, from a router, -1 where a token has no expert."""
    dispatch, combine = transfers(batches, replicas.device_of(routed), torus, preset)
    tokens = replica_tokens(batches, replicas, routed)
    if preset.dense:
        tokens = device_sums(tokens, replicas)[:, replicas.device]
    compute = device_sums(preset.compute(tokens), replicas)
    starts = batches.starts[:-1]
    return Latency(np.maximum.reduceat(dispatch, starts), compute.max(axis=1), np.maximum.reduceat(combine, starts))
