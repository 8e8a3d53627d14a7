"""Routers of the lab against slow, obvious loops."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from lab.planning.even import even_table
from lab.serving import routing
from lab.serving.cost import device_sums, latency, replica_tokens
from lab.serving.replicas import replicas_of
from lab.serving.torus import Torus
from lab.traces.batches import Batches
from lab.traces.stacked_batches import read_stacked
from lab_cases import ANCHORS, needs_anchors, random_batches, random_table

TORUS = Torus(4, 2)
ROUTERS = {
    "first_copy": routing.first_copy,
    "round_robin": routing.round_robin,
    "row_blocks": lambda b, c: routing.row_blocks(b, c, 4),
    "block_aligned": lambda b, c: routing.block_aligned(b, c, 4),
    "capacity_first_fit": lambda b, c: routing.capacity_first_fit(b, c, 5),
    "least_loaded": routing.least_loaded,
    "least_loaded, hints one batch old": lambda b, c: routing.least_loaded(b, c, 1, 4),
    "same_row_first": lambda b, c: routing.same_row_first(b, c, TORUS),
}


def setting(seed: int) -> tuple:
    return random_batches(seed), replicas_of(random_table(seed), 12)


@pytest.mark.parametrize("router", ROUTERS.values(), ids=ROUTERS)
def test_every_choice_lands_on_a_replica_of_its_expert(router: Callable) -> None:
    for seed in range(20):
        batches, replicas = setting(seed)
        assert (replicas.expert[router(batches, replicas)] == batches.choices).all()


@pytest.mark.parametrize("router", ROUTERS.values(), ids=ROUTERS)
def test_with_one_replica_each_all_routers_agree(router: Callable) -> None:
    batches, replicas = random_batches(3), replicas_of(np.arange(12).reshape(6, 2), 12)
    assert (router(batches, replicas) == routing.first_copy(batches, replicas)).all()


def test_the_closed_form_of_capacity_is_the_sequential_rule() -> None:
    for seed in range(100):
        batches, replicas = setting(seed)
        capacity = 1 + seed % 7
        expected = np.empty(batches.choices.shape, np.int64)
        for batch in range(batches.count):
            taken, turns = np.zeros(len(replicas.slot), int), np.zeros(12, int)
            for token in range(batches.starts[batch], batches.starts[batch + 1]):
                for place, expert in enumerate(batches.choices[token]):
                    serving = range(replicas.first[expert], replicas.first[expert + 1])
                    free = [replica for replica in serving if taken[replica] < capacity]
                    if free:
                        chosen = free[0]
                    else:
                        chosen = serving[turns[expert] % len(serving)]
                        turns[expert] += 1
                    taken[chosen] += 1
                    expected[token, place] = chosen
        assert (routing.capacity_first_fit(batches, replicas, capacity) == expected).all()


def test_round_robin_gives_an_experts_replicas_equal_loads_but_for_one() -> None:
    batches, replicas = setting(1)
    tokens = replica_tokens(batches, replicas, routing.round_robin(batches, replicas))
    for expert in range(12):
        served = tokens[:, replicas.first[expert] : replicas.first[expert + 1]]
        assert (served.max(axis=1) - served.min(axis=1) <= 1).all()
        assert (served.sum(axis=1) == batches.load[:, expert]).all()


@pytest.mark.parametrize("router", [routing.block_aligned, routing.row_blocks])
def test_blocks_stay_whole(router: Callable) -> None:
    batches, replicas = setting(2)
    tokens = replica_tokens(batches, replicas, router(batches, replicas, block=4))
    for expert in range(12):
        served = tokens[:, replicas.first[expert] : replicas.first[expert + 1]]
        assert (-(-served // 4)).sum(axis=1).tolist() == (-(-batches.load[:, expert] // 4)).tolist()


def test_least_loaded_is_hardly_ever_above_round_robin_in_tokens_and_never_in_blocks() -> None:
    better = {1: [], 32: []}
    for block, found in better.items():
        for seed in range(60):
            batches, replicas = setting(seed)
            loads = [
                device_sums(-(-replica_tokens(batches, replicas, routed) // block), replicas).max(axis=1)
                for routed in (
                    routing.least_loaded(batches, replicas, block=block),
                    routing.round_robin(batches, replicas),
                )
            ]
            found.extend(loads[0] <= loads[1])
    assert np.mean(better[1]) >= 0.95 and np.all(better[32])


def test_least_loaded_gives_every_block_to_the_device_with_the_fewest() -> None:
    # 70 tokens of expert 0 are three blocks of 32; expert 1 with 40 fills two blocks of device 0.
    choices = np.zeros((110, 1), np.int32)
    choices[70:] = 1
    batches = Batches(2, choices, np.zeros(110, np.int32), np.array([0, 110]))
    replicas = replicas_of(np.array([[1, 0], [0, -1], [0, -1]]), 2)
    tokens = replica_tokens(batches, replicas, routing.least_loaded(batches, replicas))
    assert tokens.tolist() == [[0, 64, 6, 40]]


@needs_anchors
def test_least_loaded_pays_for_no_more_blocks_than_round_robin_on_the_anchor() -> None:
    # By tokens it took 699.7 us, because a replica that gets one token pays for a block.
    batches, torus = read_stacked(ANCHORS / "routing_mid.npz").with_shared(), Torus()
    replicas = replicas_of(even_table(batches.load[:, :256], torus, top_k=8), 257)
    means = [
        latency(batches, replicas, router(batches, replicas), torus).total.mean()
        for router in (routing.least_loaded, routing.round_robin)
    ]
    assert means[0] < means[1] + 1 and max(means) < 583


def test_row_blocks_serve_neighbouring_rows_with_whole_blocks() -> None:
    # Six tokens of one expert, blocks of two: three blocks in the order of rows go to four replicas.
    batches = Batches(1, np.zeros((6, 1), np.int32), np.array([3, 0, 2, 0, 1, 3], np.int32), np.array([0, 6]))
    replicas = replicas_of(np.zeros((4, 1), int), 1)
    assert routing.row_blocks(batches, replicas, 2).ravel().tolist() == [2, 0, 1, 0, 1, 2]


def test_same_row_first_without_a_threshold_is_round_robin() -> None:
    batches, replicas = setting(4)
    assert (routing.same_row_first(batches, replicas, TORUS, 0) == routing.round_robin(batches, replicas)).all()


def test_same_row_first_that_never_spills_serves_every_choice_that_can_be_in_its_row() -> None:
    batches, replicas = setting(5)
    row = TORUS.row(replicas.device[routing.same_row_first(batches, replicas, TORUS, np.inf)])
    for token, experts in enumerate(batches.choices):
        for place, expert in enumerate(experts):
            rows = TORUS.row(replicas.device[replicas.first[expert] : replicas.first[expert + 1]])
            assert (row[token, place] == batches.origins[token]) == (batches.origins[token] in rows)


def test_the_more_may_stay_the_fewer_choices_leave_their_row() -> None:
    batches, replicas = setting(6)
    away = []
    for threshold in (0, 0.5, 1, 2, np.inf):
        row = TORUS.row(replicas.device[routing.same_row_first(batches, replicas, TORUS, threshold)])
        away.append((row != batches.origins[:, None]).mean())
    assert away[0] > away[-1] and away[1] >= away[-1]


def test_hints_that_are_too_old_for_the_first_batch_leave_it_to_round_robin() -> None:
    batches, replicas = setting(7)
    first = slice(0, int(batches.starts[1]))
    routed = routing.least_loaded(batches, replicas, 1, 1)[first]
    tokens = replica_tokens(batches.select(0, 1), replicas, routed)
    even = replica_tokens(batches.select(0, 1), replicas, routing.round_robin(batches.select(0, 1), replicas))
    assert np.abs(tokens - even).max() <= 1
