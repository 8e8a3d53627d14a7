"""The graph partition, and tables that bring together what tokens choose together."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from lab.planning.affinity import affinity_table, cut_weight, largest_load, partition, replica_weight
from lab.planning.even import even_table
from lab.serving.measures import measures
from lab.serving.replicas import replicas_of
from lab.serving.routing import round_robin
from lab.serving.torus import Torus
from lab.traces.batches import Batches
from lab.traces.generators import Sample, clustered, zipf
from lab.traces.statistics import coactivation

GRID = Torus(8, 4)


def graph(seed: int, items: int = 24) -> np.ndarray:
    half = np.triu(np.random.default_rng(seed).integers(0, 20, size=(items, items)), 1)
    return half + half.T


def test_two_cliques_are_found() -> None:
    member = np.array([0, 1, 0, 1, 1, 0])
    weight = 5.0 * (member[:, None] == member)
    part = partition(weight, 2)
    assert cut_weight(weight, part) == 0 and len(set(part[member == 0])) == 1


def test_the_cut_is_near_the_best_of_all_partitions() -> None:
    for seed in range(10):
        weight = graph(seed, 8)
        best = min(
            cut_weight(weight, np.isin(np.arange(8), chosen).astype(int)) for chosen in permutations(range(8), 4)
        )
        assert best <= cut_weight(weight, partition(weight, 2)) <= 1.1 * best


def test_parts_are_equal_within_one_and_the_cut_beats_chance() -> None:
    for seed in range(10):
        weight, parts = graph(seed, 22), 4
        part = partition(weight, parts)
        chance = np.random.default_rng(seed).permutation(np.arange(22) % parts)
        sizes = np.bincount(part, minlength=parts)
        assert sizes.max() - sizes.min() <= 1 and cut_weight(weight, part) <= cut_weight(weight, chance)
        assert np.array_equal(part, partition(weight, parts))
        # From any start, swaps only lower the cut and keep the sizes.
        assert cut_weight(weight, partition(weight, parts, start=chance)) <= cut_weight(weight, chance)


def test_loads_of_parts_are_kept_within_the_tolerance() -> None:
    rng = np.random.default_rng(0)
    weight, load = graph(0, 40), rng.integers(10, 20, size=40)
    carried = np.bincount(partition(weight, 4, load, 0.02), load, minlength=4)
    assert carried.max() <= 1.02 * load.sum() / 4


def plain_best_swaps(weight: np.ndarray, load: np.ndarray, most: float, part: np.ndarray) -> np.ndarray:
    """Exchange the two items whose exchange saves most, each counted from scratch, until none saves."""
    part, price = part.copy(), weight.sum() * len(weight)

    def cost(part: np.ndarray) -> float:
        over = np.maximum(0, np.bincount(part, load) - most).sum()
        return cut_weight(weight, part) + price * over

    while True:
        best, swap = 1e-9 * weight.sum(), None
        for first in range(len(part)):
            for second in range(len(part)):
                changed = part.copy()
                changed[first], changed[second] = part[second], part[first]
                if (saved := cost(part) - cost(changed)) > best:
                    best, swap = saved, changed
        if swap is None:
            return part
        part = swap


@pytest.mark.parametrize("seed", range(4))
def test_the_swaps_are_those_of_counting_every_exchange_from_scratch(seed: int) -> None:
    # The largest weight is 32, so partition rounds no weight, and ties are ties for both.
    random = np.random.default_rng(seed)
    weight = random.integers(0, 9, (8, 8))
    weight = (weight + weight.T) * (1 - np.eye(8))
    weight[0, 1] = weight[1, 0] = 32
    load = random.multinomial(64, np.full(8, 1 / 8)) / 64
    start = np.arange(8) % 4
    expected = plain_best_swaps(weight / 32, load, 1.25 / 4, start)
    assert partition(weight, 4, load, tolerance=0.25, start=start).tolist() == expected.tolist()


def test_a_weight_that_is_not_symmetric_is_refused() -> None:
    with pytest.raises(ValueError, match=r"symmetric \[item, item\], got shape \[2, 2\]"):
        partition(np.array([[0, 1], [2, 0]]), 2)
    with pytest.raises(ValueError, match="0 parts"):
        partition(np.zeros((2, 2)), 0)


@pytest.mark.parametrize("unit", [1e-300, 3e7, 1e300])
@pytest.mark.parametrize("load", [None, np.full(4, 1e300), np.full(4, 1e-300)], ids=["no load", "large", "small"])
@pytest.mark.parametrize("start", [None, np.array([0, 1, 0, 1])], ids=["greedy", "improved"])
def test_two_pairs_are_found_in_any_unit(unit: float, load: np.ndarray | None, start: np.ndarray | None) -> None:
    weight = np.kron(np.eye(2), np.array([[0.0, 1.0], [1.0, 0.0]])) * unit
    part = partition(weight, 2, load, start=start)
    assert (part[0] == part[1], part[2] == part[3], part[0] != part[2]) == (True, True, True)


def test_an_infinite_weight_is_refused() -> None:
    with pytest.raises(ValueError, match="the weight holds infinity; expected finite numbers"):
        partition(np.array([[0, np.inf], [np.inf, 0]]), 2)


def test_replicas_share_the_weight_of_their_experts() -> None:
    replicas = replicas_of(np.array([[0, 1], [0, 2]]), 3)
    weight = replica_weight(np.array([[0, 8, 4], [8, 0, 0], [4, 0, 0]]), replicas)
    # Replicas: 0, 0, 1, 2.
    assert weight.tolist() == [[0, 0, 4, 2], [0, 0, 4, 2], [4, 4, 0, 0], [2, 2, 0, 0]]


def planned(batches: Batches, torus: Torus, slots: int, shared: bool) -> tuple[list[np.ndarray], np.ndarray]:
    """The load-only and the affinity table, and the loads that they were made from."""
    k = batches.choices.shape[1]
    together = coactivation(batches.choices, batches.experts)
    first = even_table(batches.load, torus, slots, shared=shared, top_k=k)
    second = affinity_table(batches.load, together, torus, slots, shared, top_k=k)
    return [first, second], (batches.with_shared() if shared else batches).load


def rows_per_token(batches: Batches, table: np.ndarray, torus: Torus, shared: bool) -> float:
    used = batches.with_shared() if shared else batches
    replicas = replicas_of(table, used.experts)
    return measures(used, replicas, round_robin(used, replicas), torus)["rows_per_token"]


@pytest.mark.parametrize(
    ("experts", "k", "torus", "slots", "shared"),
    [(64, 4, GRID, 3, True), (64, 4, GRID, 2, False)],
)
def test_clustered_tokens_visit_a_fifth_fewer_rows_held_out(
    experts: int, k: int, torus: Torus, slots: int, shared: bool
) -> None:
    batches = clustered(Sample(4096, experts, k, seed=1), clusters=torus.rows).batches(0, 512, torus.rows, 0)
    learned, scored = batches.select(0, 4), batches.select(4, 8)
    (first, second), load = planned(learned, torus, slots, shared)
    before, after = (rows_per_token(scored, table, torus, shared) for table in (first, second))
    print(f"rows per token {before:.3f} -> {after:.3f}, load {largest_load(second, load) / largest_load(first, load)}")
    assert after <= 0.8 * before
    assert largest_load(second, load) <= 1.05 * largest_load(first, load)
    assert np.array_equal(np.sort(first, axis=None), np.sort(second, axis=None))


def test_the_partition_of_rows_cuts_less_than_the_load_only_table_and_chance() -> None:
    batches = clustered(Sample(2048, 64, 4, seed=3), clusters=8).batches(0, 512, 8, 0)
    together = coactivation(batches.choices, 64)
    (first, second), _ = planned(batches, GRID, 3, False)
    chance = np.random.default_rng(0).permutation(first.ravel()).reshape(first.shape)
    cuts = []
    for table in (second, first, chance):
        replicas = replicas_of(table, 64)
        cuts.append(cut_weight(replica_weight(together, replicas), GRID.row(replicas.device)))
    assert cuts[0] <= min(cuts[1:])


def test_routing_without_clusters_is_not_hurt() -> None:
    batches = zipf(Sample(4096, 64, 4, seed=1)).batches(0, 512, 8, 0)
    (first, second), load = planned(batches.select(0, 4), GRID, 3, True)
    before, after = (rows_per_token(batches.select(4, 8), table, GRID, True) for table in (first, second))
    assert after <= 1.01 * before and largest_load(second, load) <= 1.05 * largest_load(first, load)
    assert np.array_equal(second, planned(batches.select(0, 4), GRID, 3, True)[0][1])
