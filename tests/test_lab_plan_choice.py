"""Exchanges after packing, and the ways to plan a layer that the command line offers."""

from __future__ import annotations

import numpy as np
import pytest

from lab.planning.choice import Choice, chosen_table, robust_table
from lab.planning.even import even_table
from lab.serving.cost import latency
from lab.serving.replicas import replicas_of
from lab.serving.routing import round_robin
from lab.serving.torus import Torus
from lab.traces.batches import Batches
from lab.traces.generators import Sample, bursty, clustered, zipf

TORUS = Torus(4, 4)


def batches_of(kind=zipf, seed: int = 1, experts: int = 32) -> Batches:
    return kind(Sample(600, experts, 4, seed=seed)).batches(0, 100, TORUS.rows, 0)


def busiest(table: np.ndarray, weight: np.ndarray) -> float:
    return float(np.append(weight, 0.0)[table].sum(axis=1).max())


def test_a_fixed_expert_stays_where_it_is() -> None:
    load = np.random.default_rng(1).lognormal(size=32)
    before, after = (even_table(load, TORUS, exchanges=exchanges, top_k=8) for exchanges in (False, True))
    assert np.array_equal(before == 32, after == 32) and not np.array_equal(before, after)
    assert sorted(before.ravel()) == sorted(after.ravel())


def test_exchanges_lower_the_busiest_device_of_heaviest_first() -> None:
    rng, ratios = np.random.default_rng(2), []
    for _ in range(10):
        load = rng.lognormal(sigma=1.0, size=64)
        tables = [even_table(load, Torus(8, 4), 3, shared=False, exchanges=exchanges) for exchanges in (False, True)]
        weight = load / np.bincount(tables[0].ravel())
        ratios.append([busiest(table, weight) * 32 / load.sum() for table in tables])
    before, after = np.mean(ratios, axis=0)
    print(f"PAR {before:.4f}, after exchanges {after:.4f}")
    assert after - 1 < (before - 1) / 2


def test_hierarchical_tables_keep_groups_on_one_node() -> None:
    table = chosen_table(batches_of(), Choice("hierarchical", groups=8, nodes=4), TORUS)
    assert table.shape == (16, 3) and set(table.ravel()) == set(range(32))
    node = np.repeat(np.arange(4), 4 * 3)
    for group in range(8):
        assert len(set(node[table.ravel() // 4 == group])) == 1


def test_each_way_of_planning_is_the_function_behind_it() -> None:
    batches = batches_of(bursty)
    for words in ({"replicate": "blocks"}, {"pack": "pairs"}, {"spread": True}):
        expected = even_table(batches.load, TORUS, shared=False, top_k=4, **words)
        assert np.array_equal(chosen_table(batches, Choice(**words), TORUS), expected)
    steady = chosen_table(batches, Choice(), TORUS)
    assert np.array_equal(chosen_table(batches, Choice(hedge="mean_std"), TORUS), steady)
    hedged = chosen_table(batches, Choice(hedge="mean_std", alpha=2.0), TORUS)
    mean_std = batches.load.mean(axis=0) + 2 * batches.load.std(axis=0)
    assert np.array_equal(hedged, even_table(mean_std[None], TORUS, shared=False, top_k=4))
    assert not np.array_equal(hedged, steady)


def test_affinity_brings_clusters_into_rows() -> None:
    batches = batches_of(clustered)
    rows = []
    for choice in (Choice(), Choice("affinity")):
        replicas = replicas_of(chosen_table(batches, choice, TORUS), 32)
        row = TORUS.row(replicas.device[round_robin(batches, replicas)])
        rows.append(np.mean([len(set(one)) for one in row.tolist()]))
    assert rows[1] < 0.9 * rows[0]


@pytest.mark.parametrize("shared", [False, True])
def test_the_robust_table_is_at_worst_as_far_off_as_every_specialist(shared: bool) -> None:
    several = {kind.__name__: batches_of(kind, seed) for seed, kind in enumerate((zipf, clustered, bursty))}
    choice = Choice(shared=shared)
    served = [batches.with_shared() if shared else batches for batches in several.values()]

    def taken(table: np.ndarray) -> np.ndarray:
        replicas = replicas_of(table, served[0].experts)
        return np.array([latency(b, replicas, round_robin(b, replicas), TORUS).total.mean() for b in served])

    specialists = np.stack([taken(chosen_table(batches, choice, TORUS)) for batches in several.values()])
    expected = specialists / specialists.diagonal()
    table, ratios = robust_table(several, choice, TORUS, round_robin)
    assert list(ratios) == ["for zipf", "for clustered", "for bursty", "mean of shares", "largest of shares"]
    assert np.allclose(list(ratios.values())[:3], expected)
    assert (taken(table) / specialists.diagonal()).max() == min(map(max, ratios.values())) <= expected.max(axis=1).min()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ({"method": "best"}, "the method is even, hierarchical, affinity, got 'best'"),
        ({"hedge": "max"}, "the hedge is mean, mean_std, p95, got 'max'"),
        ({"groups": 2}, "groups and nodes belong to the method hierarchical, got the method even"),
        ({"method": "affinity", "pack": "pairs"}, "replicate, pack and spread belong to the method even"),
        ({"method": "hierarchical", "shared": True}, "the hierarchical method plans no shared expert"),
    ],
)
def test_words_that_do_not_go_together_are_refused(words: dict, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Choice(**words)
