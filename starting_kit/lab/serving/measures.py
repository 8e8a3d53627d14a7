"""What a deployment table and a router achieve: times, loads and locality, one row of every printed table."""

from __future__ import annotations

import numpy as np

from ..traces.batches import Batches
from .cost import COMPAT, Preset, device_sums, latency, nearest_rank, replica_tokens
from .replicas import Replicas
from .torus import Torus

BLOCK = 32
NODE_ROWS = 2


def measures(
    batches: Batches, replicas: Replicas, routed: np.ndarray, torus: Torus, preset: Preset = COMPAT
) -> dict[str, float]:
    """Measure a routing.

    routed: [token, choice] -> replica. Times in us; a node is NODE_ROWS rows of the grid. `par` is the mean
    over batches of the largest device load by the mean one; `row_imbalance` the same of rows; rows and devices are
    distinct ones per token; the shares are of choices served in another row or node than the token's own.
    """
    timed = latency(batches, replicas, routed, torus, preset)
    tokens = replica_tokens(batches, replicas, routed)
    loads = device_sums(tokens, replicas)
    rows = loads.reshape(len(loads), torus.rows, torus.cols).sum(axis=2)
    row = torus.row(replicas.device[routed])
    away = row != batches.origins[:, None]
    node_away = row // NODE_ROWS != batches.origins[:, None] // NODE_ROWS
    total = timed.total
    return {
        "mean": float(total.mean()),
        "p50": nearest_rank(total, 0.5),
        "p95": nearest_rank(total, 0.95),
        "p99": nearest_rank(total, 0.99),
        "dispatch": float(timed.dispatch.mean()),
        "compute": float(timed.compute.mean()),
        "combine": float(timed.combine.mean()),
        "par": float((loads.max(axis=1) / loads.mean(axis=1)).mean()),
        "max_device_tokens": int(loads.max()),
        "max_device_blocks": int(device_sums(-(-tokens // BLOCK), replicas).max()),
        "row_imbalance": float((rows.max(axis=1) / rows.mean(axis=1)).mean()),
        "rows_per_token": _distinct(row),
        "devices_per_token": _distinct(replicas.device[routed]),
        "cross_row_share": float(away.mean()),
        "cross_node_share": float(node_away.mean()),
        "mean_hop": float(torus.hops[batches.origins[:, None], row].mean()),
    }


def _distinct(values: np.ndarray) -> float:
    """Mean number of distinct values in a row."""
    return float(1 + np.count_nonzero(np.diff(np.sort(values, axis=1), axis=1), axis=1).mean())
