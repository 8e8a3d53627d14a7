"""Replication, packing and whole tables against brute force and their rules."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest

from lab.planning.even import even_table
from lab.serving.replicas import replicas_of
from lab.serving.torus import Torus
from planning.packing import deal_out, heaviest_first, pairs
from planning.replication import one_more, replicas_by_blocks, replicas_by_load, robust_load

GRID = Torus(16, 8)


def zipf_load(seed: int = 0, experts: int = 256, batches: int = 4) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.poisson(40000 / (1 + np.arange(experts)) / 6, size=(batches, experts))


def test_even_split_is_optimal_on_small_cases() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        experts, spare = int(rng.integers(2, 5)), int(rng.integers(0, 4))
        load = rng.integers(0, 100, size=experts)
        replicas = replicas_by_load(load, experts + spare)
        best = min(
            max(load / np.array(counts))
            for counts in product(range(1, spare + 2), repeat=experts)
            if sum(counts) == experts + spare
        )
        assert replicas.sum() == experts + spare and max(load / replicas) == best


def test_blocks_are_split_whole() -> None:
    # 64 tokens are two blocks: one replica more halves them; 33 to 64 tokens of a second expert are two as well.
    assert replicas_by_blocks(np.array([[64, 32, 10]]), 4).tolist() == [2, 1, 1]
    # With two replicas, 96 tokens take two blocks, and with three one.
    assert replicas_by_blocks(np.array([[96, 32, 10]]), 5).tolist() == [3, 1, 1]


def test_one_more_goes_round_the_hottest() -> None:
    assert one_more(np.array([5, 9, 1]), 8).tolist() == [3, 3, 2]


def test_fewer_slots_than_experts_are_refused() -> None:
    with pytest.raises(ValueError, match="2 slots cannot hold 3 experts"):
        replicas_by_load(np.ones(3), 2)


def test_no_hedge_plans_for_the_mean_and_another_word_is_refused() -> None:
    load = zipf_load()
    assert np.array_equal(robust_load(load, "mean_std", 0), robust_load(load))
    with pytest.raises(ValueError, match="got 'median'"):
        robust_load(load, "median")


def test_robust_loads_by_hand() -> None:
    # Batches of 0, 1, .. 100 tokens, and of half as many: the 95th of a hundred steps.
    load = np.outer(np.arange(101), [1, 0.5])
    assert robust_load(load, "p95").tolist() == [95, 47.5]
    # Mean 2, standard deviation 2.
    assert robust_load(np.array([[0], [4]]), "mean_std", 1.5).tolist() == [5]


def test_a_hedge_helps_the_held_out_percentile_of_bursts() -> None:
    rng = np.random.default_rng(3)
    load = np.full((80, 32), 40.0) + rng.poisson(3, size=(80, 32))
    load[:, :6] += 200.0 * (rng.random((80, 6)) < 0.2)
    curve = {}
    for alpha in (0.0, 0.5, 1.0, 2.0):
        table = even_table(robust_load(load[:40], "mean_std", alpha), Torus(4, 4), 3, shared=False)
        replicas = replicas_of(table, 32)
        share = (load[40:] / replicas.count)[:, replicas.expert]
        devices = np.stack([np.bincount(replicas.device, row, minlength=16) for row in share])
        curve[alpha] = float(np.sort(devices.max(axis=1))[-1])
    print("largest device load of held-out batches by alpha:", curve)
    assert min(curve[alpha] for alpha in (0.5, 1.0, 2.0)) < curve[0.0]


def test_pairs_equal_brute_force() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        load = rng.integers(0, 50, size=6)
        best = min(load[list(order)].reshape(3, 2).sum(axis=1).max() for order in permutations(range(6)))
        assert load[pairs(load, 3)].sum(axis=1).max() == best


def test_any_number_of_slots_is_dealt_out() -> None:
    table = deal_out(np.arange(6), np.array([6, 5, 4, 3, 2, 1]), np.full((2, 3), -1), np.zeros(2))
    assert table.tolist() == [[0, 3, 4], [1, 2, 5]]
    with pytest.raises(ValueError, match="5 experts are no pairs on 3 devices"):
        pairs(np.ones(5), 3)


def test_a_device_gets_an_expert_twice_only_where_there_is_no_other() -> None:
    empty = np.full((2, 2), -1)
    assert heaviest_first(np.array([0, 0, 1, 2]), np.array([5, 5, 1, 1]), empty, np.zeros(2)).tolist() == [
        [0, 1],
        [0, 2],
    ]
    with pytest.raises(ValueError, match="5 replicas do not fit into 4 empty slots"):
        heaviest_first(np.arange(5), np.ones(5), empty, np.zeros(2))


def test_the_default_table_has_256_routed_16_shared_and_112_more_replicas() -> None:
    table = even_table(zipf_load(), GRID, top_k=8)
    replicas = replicas_of(table, 257)
    assert table.shape == (128, 3) and (table >= 0).all()
    assert replicas.count[256] == 16 and replicas.count[:256].sum() == 256 + 112 and replicas.count.min() == 1


@pytest.mark.parametrize("shape", [(4, 8), (8, 8)])
def test_other_grids_are_planned_too(shape: tuple[int, int]) -> None:
    table = even_table(zipf_load(experts=32), Torus(*shape), 3, top_k=8)
    assert replicas_of(table, 33).count[32] == shape[0]


def test_the_shared_expert_is_once_in_every_row_and_columns_take_turns() -> None:
    replicas = replicas_of(even_table(zipf_load(), GRID, top_k=8), 257)
    device = replicas.device[replicas.expert == 256]
    assert sorted(GRID.row(device)) == list(range(16))
    assert np.bincount(GRID.col(device)).tolist() == [2] * 8


def test_replicas_can_be_kept_on_distinct_rows() -> None:
    for seed in range(3):
        load = np.sqrt(zipf_load(seed)).astype(int)
        replicas = replicas_of(even_table(load, GRID, top_k=8), 257)
        spread = replicas_of(even_table(load, GRID, spread=True, top_k=8), 257)
        places = set(zip(spread.expert, GRID.row(spread.device), strict=True))
        assert replicas.count.max() <= 16 and len(places) == len(spread.expert)
        assert sorted(spread.table.ravel()) == sorted(replicas.table.ravel())


def test_the_shared_expert_may_be_an_ordinary_hot_one() -> None:
    load = np.column_stack([zipf_load(), np.full(4, 1024)])
    replicas = replicas_of(even_table(load, GRID, shared=False), 257)
    assert replicas.count.sum() == 384 and replicas.count[256] > 1


def test_a_table_without_an_expert_is_refused() -> None:
    with pytest.raises(ValueError, match=r"experts \[2\] have no slot in the table"):
        replicas_of(np.array([[0, 1], [1, -1]]), 3)
