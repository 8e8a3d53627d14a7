"""The rules that a deployment table must keep, and how many experts have their replicas on distinct rows."""

from __future__ import annotations

import numpy as np

from ..serving.measures import row_traffic
from ..serving.replicas import Replicas, replicas_of
from ..serving.torus import Torus
from ..traces.batches import Batches


def check_table(table: np.ndarray, experts: int, slots: int, replicas: int | None = None) -> None:
    """Raise ValueError, which names the rule, for a deployment table that breaks one.

    slots: per device; replicas: at most so many filled slots.
    """
    if table.shape[1] > slots:
        raise ValueError(f"slots: a device has {table.shape[1]}; expected at most {slots}")
    try:
        listed = replicas_of(table, experts)
    except ValueError as error:
        raise ValueError(f"coverage: {error}") from None
    if replicas is not None and len(listed.slot) > replicas:
        raise ValueError(f"replicas: the table has {len(listed.slot)}; expected at most {replicas}")


def check_row_traffic(batches: Batches, replicas: Replicas, routed: np.ndarray, torus: Torus, most: int) -> None:
    """Raise ValueError when more than so many choices of a batch cross into a row of the grid."""
    traffic = row_traffic(batches, replicas, routed, torus)
    if traffic.max() > most:
        batch, row = np.argwhere(traffic > most)[0]
        got = f"{traffic[batch, row]} choices cross into row {row} in batch {batch}"
        raise ValueError(f"row traffic: {got}; expected at most {most}")


def share_on_distinct_rows(table: np.ndarray, torus: Torus, experts: int) -> float:
    """The share of the experts with several replicas that have them all on distinct rows; 1 where there is none."""
    replicas = replicas_of(table, experts)
    several = np.flatnonzero(replicas.count > 1)
    rows = torus.row(replicas.device)
    rows_of_expert = [rows[replicas.first[expert] : replicas.first[expert + 1]] for expert in several]
    apart = [len(np.unique(expert_rows)) == len(expert_rows) for expert_rows in rows_of_expert]
    return float(np.mean(apart)) if apart else 1.0
