"""Experts that tokens choose together, in one row: what the graph partition saves, and what it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..planning.affinity import cut_weight, largest_load, replica_weight
from ..planning.choice import Choice, chosen_table
from ..serving.measures import measures
from ..serving.replicas import replicas_of
from ..serving.routing import row_blocks
from ..serving.torus import Torus
from ..traces.batches import Batches
from ..traces.statistics import coactivation

if TYPE_CHECKING:
    import pandas as pd


def rows_together(batches: Batches, torus: Torus, slots: int, seed: int = 0) -> pd.DataFrame:
    """Tables by loads alone and with affinity, and the first one with its slots drawn at random.

    batches: routed experts alone; the shared one is planned too, all from the first half. In sample, as the partition
    saw them: cut_share, of the pairs of experts that meet in a token those in different rows; largest_load of a device,
    mean over batches, by that of loads alone. On the second half: rows_per_token, cross_row_share, mean and p99 in us.
    """
    import pandas as pd

    half = batches.count // 2
    learned, scored = batches.select(0, half), batches.select(half, batches.count).with_shared()
    with_shared = learned.with_shared()
    together = coactivation(with_shared.choices, scored.experts)
    # The shared expert has a replica in every row.
    together[-1] = together[:, -1] = 0
    tables = {
        name: chosen_table(learned, Choice(method=method, slots=slots, shared=True), torus)
        for name, method in (("loads alone", "even"), ("affinity", "affinity"))
    }
    flat = np.random.default_rng(seed).permutation(tables["loads alone"].ravel())
    tables = {"random": flat.reshape(torus.devices, slots)} | tables
    even = largest_load(tables["loads alone"], with_shared.load)
    rows = []
    for name, table in tables.items():
        replicas = replicas_of(table, scored.experts)
        weight = replica_weight(together, replicas)
        measured = measures(scored, replicas, row_blocks(scored, replicas), torus)
        rows.append(
            {
                "plan": name,
                "cut_share": 2 * cut_weight(weight, torus.row(replicas.device)) / max(weight.sum(), 1.0),
                "largest_load": largest_load(table, with_shared.load) / even,
                **{key: measured[key] for key in ("rows_per_token", "cross_row_share", "mean", "p99")},
            }
        )
    return pd.DataFrame(rows)
