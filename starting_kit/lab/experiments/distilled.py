"""Distilled weights on whole layers: heaviest first, the distilled greedy score, and exchanges, held out."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from planning.replication import replicas_by_load

from ..oracle.greedy import Weights, greedy_table
from ..planning.even import even_table
from ..serving.cost import latency
from ..serving.measures import even_par
from ..serving.replicas import replicas_of
from ..serving.routing import row_blocks
from ..serving.torus import Torus
from ..traces.batches import Batches

if TYPE_CHECKING:
    import pandas as pd


def on_layer(batches: Batches, torus: Torus, slots: int, weights: Weights) -> pd.DataFrame:
    """Plain greedy, the distilled one, and the even split with exchanges, planned from the first half of the batches.

    batches: of one layer, two or more. Mean latency in us and the mean PAR of even loads are of the second half; all
    tables have the same number of replicas of each expert. The router is row_blocks.
    """
    import pandas as pd

    known, unknown = (batches.select(*ends) for ends in ((0, batches.count // 2), (batches.count // 2, batches.count)))
    counts = replicas_by_load(known.load.mean(axis=0), torus.devices * slots)
    lines = []
    for name, plan in (
        ("greedy by load", lambda: greedy_table(known, counts, torus, slots)),
        ("greedy, distilled", lambda: greedy_table(known, counts, torus, slots, weights)),
        ("heaviest first and exchanges", lambda: even_table(known.load, torus, slots, False)),
    ):
        begun = time.perf_counter()
        replicas = replicas_of(plan(), batches.experts)
        seconds = time.perf_counter() - begun
        total = latency(unknown, replicas, row_blocks(unknown, replicas), torus).total
        par = float(even_par(replicas.table, unknown.load).mean())
        lines.append({"plan": name, "mean us": float(total.mean()), "even PAR": par, "seconds": seconds})
    return pd.DataFrame(lines)
