"""Deployment tables that hedge: against other data sets, and against bursts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from planning.replication import robust_load

from ..planning.even import even_table
from ..serving.cost import latency, nearest_rank
from ..serving.measures import measures
from ..serving.replicas import replicas_of
from ..serving.routers import Router
from ..serving.torus import Torus
from ..traces.batches import Batches

if TYPE_CHECKING:
    import pandas as pd

ALPHAS = (0.0, 0.5, 1.0, 2.0)


def robust(batches: Mapping[str, Batches], torus: Torus, router: Router, slots: int = 3) -> tuple[pd.DataFrame, str]:
    """Each data set's table on every data set, and the table of the smallest worst ratio to the specialists.

    batches: by data set, of one layer, the shared expert included. The candidates are the specialists, each planned for
    one data set, and tables for the mean and for the largest of the data sets' shares. Returns ratios of mean latency
    [candidate, data set], with the worst of each row, and the name of the best candidate; its worst ratio is at most
    every specialist's.
    """
    import pandas as pd

    experts = next(iter(batches.values())).experts
    loads = {name: b.load[:, : experts - 1] / b.load.sum(axis=1, keepdims=True) for name, b in batches.items()}
    means = np.stack([load.mean(axis=0) for load in loads.values()])
    candidates = {f"for {name}": load for name, load in loads.items()}
    candidates |= {"mean of shares": means.mean(axis=0)[None], "largest of shares": means.max(axis=0)[None]}
    latencies = {}
    for candidate, load in candidates.items():
        replicas = replicas_of(even_table(load * 1e6, torus, slots, shared=True), experts)
        latencies[candidate] = {
            name: latency(b, replicas, router(b, replicas), torus).total.mean() for name, b in batches.items()
        }
    frame = pd.DataFrame(latencies).T
    specialists = [frame.loc[f"for {name}", name] for name in frame.columns]
    ratios = frame / specialists
    ratios["worst"] = ratios.max(axis=1)
    return ratios, str(ratios["worst"].idxmin())


def alpha_sweep(
    batches: Batches, torus: Torus, router: Router, slots: int = 3, alphas: Sequence[float] = ALPHAS
) -> pd.DataFrame:
    """Replication by mean + alpha * std and by p95 of the first half of the batches, measured on the second.

    batches: the shared expert included. One row per hedge: mean, p95 and p99 of latency in us, and the largest device
    load.
    """
    import pandas as pd

    half = batches.count // 2
    learned, scored = batches.select(0, half), batches.select(half, batches.count)
    load = learned.load[:, : batches.experts - 1]
    hedges = {f"mean + {alpha:g} std": ("mean_std", alpha) for alpha in alphas} | {"p95": ("p95", 0.0)}
    rows = []
    for name, (how, alpha) in hedges.items():
        table = even_table(robust_load(load, how, alpha)[None], torus, slots, shared=True)
        replicas = replicas_of(table, batches.experts)
        routed = router(scored, replicas)
        measured = measures(scored, replicas, routed, torus)
        total = latency(scored, replicas, routed, torus).total
        rows.append({"hedge": name, "mean": measured["mean"], "p95": measured["p95"], "p99": nearest_rank(total, 0.99)})
        rows[-1]["max_device_tokens"] = measured["max_device_tokens"]
    return pd.DataFrame(rows)
