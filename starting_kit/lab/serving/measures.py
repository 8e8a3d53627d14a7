"""What a deployment table and a router achieve: times, loads and locality, one row of every printed table."""

from __future__ import annotations

import numpy as np

from ..traces.batches import Batches
from ..traces.statistics import nearest_rank
from .cost import BLOCK, COMPAT, Preset, device_sums, distinct, latency, replica_tokens
from .replicas import Replicas
from .torus import Torus

NODE_ROWS = 2


def measures(
    batches: Batches, replicas: Replicas, routed: np.ndarray, torus: Torus, preset: Preset = COMPAT
) -> dict[str, float]:
    """Measure a routing.

    routed: [token, choice] -> replica, -1 where a token has no expert, which counts nowhere. Times in us; a node is
    NODE_ROWS rows of the grid. `par` is the mean over batches of the largest device load by the mean one;
    `row_imbalance` the same of rows; rows and devices are distinct ones per token; the shares are of choices served in
    another row or node than the token's own.
    """
    timed = latency(batches, replicas, routed, torus, preset)
    tokens = replica_tokens(batches, replicas, routed)
    loads = device_sums(tokens, replicas)
    rows = loads.reshape(len(loads), torus.rows, torus.cols).sum(axis=2)
    device = replicas.device_of(routed)
    served, row = device >= 0, torus.row(device)
    away = row != batches.origins[:, None]
    node_away = row // NODE_ROWS != batches.origins[:, None] // NODE_ROWS
    hops = torus.hops[batches.origins[:, None], row]
    total = timed.total
    return {
        "mean": float(total.mean()),
        "p50": float(nearest_rank(total, 0.5)),
        "p95": float(nearest_rank(total, 0.95)),
        "p99": float(nearest_rank(total, 0.99)),
        "dispatch": float(timed.dispatch.mean()),
        "compute": float(timed.compute.mean()),
        "combine": float(timed.combine.mean()),
        "par": float((loads.max(axis=1) / loads.mean(axis=1)).mean()),
        "max_device_tokens": int(loads.max()),
        "max_device_blocks": int(device_sums(-(-tokens // BLOCK), replicas).max()),
        "row_imbalance": float((rows.max(axis=1) / rows.mean(axis=1)).mean()),
        "rows_per_token": float(distinct(row).mean()),
        "devices_per_token": float(distinct(device).mean()),
        "cross_row_share": float(away[served].mean()),
        "cross_node_share": float(node_away[served].mean()),
        "mean_hop": float(hops[served].mean()),
    }


def even_loads(table: np.ndarray, load: np.ndarray) -> np.ndarray:
    """Load of each device when an expert's replicas serve equal parts of it: float64 [..., device].

    table: [device, slot], -1 empty; load: [..., expert], of every expert in the table, such as [batch, expert].
    """
    count = np.bincount(table[table >= 0], minlength=load.shape[-1])
    # The last column is an empty slot's, whose index is -1.
    share = np.append(load / np.maximum(count, 1), np.zeros((*load.shape[:-1], 1)), axis=-1)
    return share[..., table].sum(axis=-1)


def even_par(table: np.ndarray, load: np.ndarray) -> np.ndarray:
    """The largest device load by the mean one, of even loads as in the competition: float64 [...].

    table, load: as even_loads takes them. What is without load counts as if every expert had the same.
    """
    loads = even_loads(table, np.where(load.sum(axis=-1, keepdims=True) > 0, load, 1.0))
    return loads.max(axis=-1) / loads.mean(axis=-1)
