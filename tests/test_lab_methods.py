"""What the nearline method must reach on stationary routing, and the shared expert's place."""

from __future__ import annotations

import numpy as np

from lab.experiments.methods import REPLICATED, Setting
from lab.planning.even import even_table
from lab.serving.cost import device_sums, latency, replica_tokens
from lab.serving.replicas import replicas_of
from lab.serving.routing import least_loaded, same_row_first
from lab.serving.torus import Torus
from lab.traces.generators import Sample, zipf

GRID = Torus(16, 8)


def test_nearline_levels_stationary_routing_and_halves_the_published_latency() -> None:
    batches = zipf(Sample(tokens=10240, seed=2)).batches(0, 1024, 16, 0).with_shared()
    baseline, nearline, _ = REPLICATED
    means = []
    for method in (baseline, nearline):
        planned = method.plan(batches, Setting(GRID, 3, True))
        means.append(latency(batches, planned.replicas, planned.router(batches, planned.replicas), GRID).total.mean())
    assert 2 * means[1] <= means[0]
    replicas = replicas_of(even_table(batches.load[:, :256], GRID, top_k=8), 257)
    loads = device_sums(replica_tokens(batches, replicas, least_loaded(batches, replicas, block=1)), replicas)
    # Over all batches; batch by batch, with 72 tokens on a device, chance adds some 5 % more.
    assert loads.sum(axis=0).max() / loads.sum(axis=0).mean() <= 1.10


def test_every_token_finds_the_shared_expert_in_its_own_row() -> None:
    batches = zipf(Sample(tokens=1024, seed=3)).batches(0, 1024, 16, 0).with_shared()
    replicas = replicas_of(even_table(batches.load[:, :256], GRID, top_k=8), 257)
    routed = same_row_first(batches, replicas, GRID, np.inf)
    assert np.array_equal(GRID.row(replicas.device[routed[:, 8]]), batches.origins)
