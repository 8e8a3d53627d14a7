"""Replicas by load and by blocks against slow references, and the hedge on bursts, held out."""

from __future__ import annotations

import numpy as np

from lab.planning.even import even_table
from lab.serving.cost import latency
from lab.serving.replicas import replicas_of
from lab.serving.routing import block_aligned
from lab.serving.torus import Torus
from lab.traces.batches import stacked
from lab.traces.statistics import nearest_rank
from lab_cases import ANCHORS, needs_anchors
from planning.packing import heaviest_first
from planning.replication import replicas_by_blocks, replicas_by_load, robust_load

ALPHAS = (0.0, 0.5, 1.0, 2.0)


def worst_blocks(load: np.ndarray, replicas: np.ndarray) -> float:
    """The mean over batches of the most blocks of a replica."""
    return float(np.ceil(np.ceil(load / 32) / replicas).max(axis=1).mean())


def test_ties_go_to_the_lower_expert_and_the_same_load_gives_the_same_replicas() -> None:
    assert replicas_by_load(np.array([4, 4, 4]), 5).tolist() == [2, 2, 1]
    assert replicas_by_load(np.zeros(3), 4).sum() == 4


def test_of_equally_many_blocks_the_larger_mean_load_is_split_first() -> None:
    # 33 and 64 tokens are two blocks each.
    assert replicas_by_blocks(np.array([[33, 64]]), 3).tolist() == [1, 2]
    assert replicas_by_blocks(np.array([[64, 33]]), 3).tolist() == [2, 1]


def test_another_slot_never_raises_the_largest_load_per_replica() -> None:
    load = np.random.default_rng(0).zipf(1.5, size=40).clip(max=10**6)
    worst = [(load / replicas_by_load(load, slots)).max() for slots in range(40, 90)]
    assert (np.diff(worst) <= 0).all()


def test_the_fullest_replicas_never_take_more_blocks_than_when_split_by_load() -> None:
    fewer = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        load = rng.poisson(600 / (1 + np.arange(24)), size=(20, 24))
        by_blocks = worst_blocks(load, replicas_by_blocks(load, 36))
        by_load = worst_blocks(load, replicas_by_load(load.mean(axis=0), 36))
        assert by_blocks <= by_load
        fewer += by_blocks < by_load
    assert fewer > 0


def held_out_curve(load: np.ndarray, torus: Torus, slots: int) -> dict[float, float]:
    """p99 over the second half of the batches of the largest device load, planned from the first: by alpha."""
    half = len(load) // 2
    curve = {}
    for alpha in ALPHAS:
        hedged = robust_load(load[:half], "mean_std", alpha)
        replicas = replicas_by_load(hedged, torus.devices * slots)
        ids = np.repeat(np.arange(len(replicas)), replicas)
        empty = np.full((torus.devices, slots), -1)
        table = heaviest_first(ids, (hedged / replicas)[ids], empty, np.zeros(torus.devices))
        curve[alpha] = nearest_rank((load[half:] / replicas)[:, table].sum(axis=2).max(axis=1), 0.99)
    return curve


def test_a_hedge_lowers_the_held_out_p99_of_bursts() -> None:
    gains = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        load = rng.poisson(40, size=(400, 32)).astype(float)
        load[:, :6] += 200 * (rng.random((400, 6)) < 0.1)
        curve = held_out_curve(load, Torus(4, 4), 3)
        print({alpha: round(worst, 1) for alpha, worst in curve.items()})
        gains.append(curve[0.0] - min(curve[alpha] for alpha in ALPHAS[1:]))
    assert min(gains) > 0


@needs_anchors
def test_a_split_by_blocks_meets_the_prototypes_figure() -> None:
    with np.load(ANCHORS / "routing_q.npz", allow_pickle=False) as archive:
        batches = stacked(archive["topk_experts"], archive["origin_rows"], 256).with_shared()
    torus = Torus(16, 8)
    replicas = replicas_of(even_table(batches.load[:, :256], torus, replicate="blocks", top_k=8), 257)
    mean = latency(batches, replicas, block_aligned(batches, replicas), torus).total.mean()
    print(f"q, split by blocks, block-aligned: {mean:.2f} us")
    assert mean <= 774
