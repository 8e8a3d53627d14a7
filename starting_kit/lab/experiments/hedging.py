"""Deployment tables that hedge against bursts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..planning.choice import Choice, chosen_table
from ..serving.measures import measures
from ..serving.replicas import replicas_of
from ..serving.routers import Router
from ..serving.torus import Torus
from ..traces.batches import Batches

if TYPE_CHECKING:
    import pandas as pd

MEASURED = ("mean", "p95", "p99", "max_device_tokens")
ALPHAS = (0.0, 0.5, 1.0, 2.0)


def alpha_sweep(batches: Batches, torus: Torus, router: Router, slots: int = 3) -> pd.DataFrame:
    """Replication by mean + alpha * std and by p95 of the first half of the batches, measured on the second.

    batches: routed experts alone; the shared one is planned too. One row per hedge: mean, p95 and p99 of latency in us,
    and the largest device load.
    """
    import pandas as pd

    half = batches.count // 2
    learned, scored = batches.select(0, half), batches.select(half, batches.count).with_shared()
    hedges = {f"mean + {alpha:g} std": ("mean_std", alpha) for alpha in ALPHAS} | {"p95": ("p95", 0.0)}
    rows = []
    for name, (how, alpha) in hedges.items():
        choice = Choice(slots=slots, shared=True, hedge=how, alpha=alpha)
        replicas = replicas_of(chosen_table(learned, choice, torus), scored.experts)
        measured = measures(scored, replicas, router(scored, replicas), torus)
        rows.append({"hedge": name} | {column: measured[column] for column in MEASURED})
    return pd.DataFrame(rows)
