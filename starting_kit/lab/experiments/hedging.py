"""Deployment tables that hedge against bursts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..planning.choice import Choice, chosen_table
from ..serving.cost import latency, nearest_rank
from ..serving.measures import measures
from ..serving.replicas import replicas_of
from ..serving.routers import Router
from ..serving.torus import Torus
from ..traces.batches import Batches

if TYPE_CHECKING:
    import pandas as pd

ALPHAS = (0.0, 0.5, 1.0, 2.0)


def alpha_sweep(
    batches: Batches, torus: Torus, router: Router, slots: int = 3, alphas: Sequence[float] = ALPHAS
) -> pd.DataFrame:
    """Replication by mean + alpha * std and by p95 of the first half of the batches, measured on the second.

    batches: routed experts alone; the shared one is planned too. One row per hedge: mean, p95 and p99 of latency in us,
    and the largest device load.
    """
    import pandas as pd

    half = batches.count // 2
    learned, scored = batches.select(0, half), batches.select(half, batches.count).with_shared()
    hedges = {f"mean + {alpha:g} std": ("mean_std", alpha) for alpha in alphas} | {"p95": ("p95", 0.0)}
    rows = []
    for name, (how, alpha) in hedges.items():
        choice = Choice(slots=slots, shared=True, hedge=how, alpha=alpha)
        replicas = replicas_of(chosen_table(learned, choice, torus), scored.experts)
        routed = router(scored, replicas)
        measured = measures(scored, replicas, routed, torus)
        total = latency(scored, replicas, routed, torus).total
        rows.append({"hedge": name, "mean": measured["mean"], "p95": measured["p95"], "p99": nearest_rank(total, 0.99)})
        rows[-1]["max_device_tokens"] = measured["max_device_tokens"]
    return pd.DataFrame(rows)
