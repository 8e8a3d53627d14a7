"""Delta evaluation and search over tables."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from lab.search import steps as search
from lab.search.check import surrogate_order
from lab.search.limits import MovedSlots
from lab.search.surrogate import Blocks, rank_correlation
from lab.search.swaps import Swaps
from lab.search.two_stage import two_stage
from lab.serving import cost
from lab.serving.replicas import Replicas, replicas_of
from lab.serving.routing import block_aligned, capacity_first_fit, round_robin
from lab.serving.torus import Torus
from lab_cases import random_batches, random_table

TORUS = Torus(4, 2)
STEPS = {
    "local": partial(search.local, tries=400),
    "anneal": partial(search.anneal, tries=400, hot=20.0, cold=0.1),
    "tabu": partial(search.tabu, rounds=30),
    "large neighbourhood": partial(search.large_neighbourhood, rounds=25),
}


def state(seed: int, preset: cost.Preset = cost.COMPAT, empty: int = 0) -> tuple[Swaps, Replicas, np.ndarray]:
    batches, table = random_batches(seed, sizes=(40, 33, 25)), random_table(seed)
    flat = table.ravel()
    for slot in range(flat.size):
        if empty and np.count_nonzero(flat == flat[slot]) > 1:
            flat[slot], empty = -1, empty - 1
    replicas = replicas_of(table, 12)
    routed = block_aligned(batches, replicas, 4)
    return Swaps(batches, replicas, routed, TORUS, preset), replicas, routed


@pytest.mark.parametrize("preset", [cost.COMPAT, cost.CORRECTED_PLANE, cost.MEASURED], ids=lambda p: p.name)
def test_delta_is_full_evaluation_on_random_moves(preset: cost.Preset) -> None:
    checked = 0
    for seed in range(10):
        swaps, _, routed = state(seed, preset, empty=2)
        moves = np.random.default_rng(seed).integers(24, size=(100, 2)).tolist()
        for first, second in moves:
            delta, before = swaps.delta(first, second), swaps.objective
            swaps.apply(first, second)
            full = cost.latency(swaps.batches, swaps.listed(), routed, TORUS, preset).total.mean()
            assert full == pytest.approx(before + delta, abs=1e-9) and full == pytest.approx(swaps.objective, abs=1e-9)
            checked += 1
    assert checked == 1000


def test_a_swap_taken_back_leaves_the_table_as_it_was() -> None:
    swaps, replicas, _ = state(1)
    before = swaps.objective
    for first, second in ((0, 23), (5, 9), (1, 2)):
        swaps.apply(first, second)
        swaps.apply(first, second)
        assert np.array_equal(swaps.table, replicas.table) and swaps.objective == pytest.approx(before, abs=1e-9)


def test_a_limit_that_cannot_be_met_is_answered_by_something_above_it() -> None:
    swaps, _, _ = state(2)
    for first, second in np.random.default_rng(0).integers(24, size=(200, 2)).tolist():
        exact = swaps.delta(first, second)
        bounded = swaps.delta(first, second, -1e-9)
        assert bounded == exact or (bounded > -1e-9 and bounded <= exact + 1e-9)


def test_a_preset_that_has_no_delta_is_refused() -> None:
    with pytest.raises(ValueError, match="the preset functional has no delta"):
        state(1, cost.FUNCTIONAL)


def test_replicas_that_were_moved_are_still_in_the_order_of_their_lists() -> None:
    swaps, _replicas, routed = state(3)
    search.local(search.Search(swaps, np.random.default_rng(0)), 200)
    listed = swaps.listed()
    assert np.array_equal(block_aligned(swaps.batches, listed, 4), routed)
    assert np.array_equal(listed.table.ravel()[listed.slot], listed.expert)


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_the_best_so_far_never_rises_and_a_seed_decides_the_table(step: search.Step) -> None:
    tables = []
    for _ in range(2):
        searched = search.Search(state(4)[0], np.random.default_rng(7))
        search.sequence(searched, [step])
        assert searched.history == sorted(searched.history, reverse=True)
        assert searched.state.objective == pytest.approx(searched.objective, abs=1e-9) == min(searched.history)
        tables.append(searched.state.table)
    assert np.array_equal(*tables)
    assert searched.objective < searched.history[0]


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
@pytest.mark.parametrize("budget", [0, 2, 5])
def test_a_budget_of_moved_slots_is_kept(step: search.Step, budget: int) -> None:
    swaps, replicas, _ = state(5)
    step(search.Search(swaps, np.random.default_rng(0), [MovedSlots(replicas.table.ravel(), budget)]))
    assert np.count_nonzero(swaps.table != replicas.table) <= budget


def test_two_stages_never_raise_the_objective_and_keep_the_budget() -> None:
    for seed in range(5):
        batches, replicas = random_batches(seed), replicas_of(random_table(seed), 12)
        before = cost.latency(batches, replicas, round_robin(batches, replicas), TORUS).total.mean()
        for budget in (None, 4):
            better = two_stage(batches, replicas, round_robin, TORUS, tries=200, moved_budget=budget)
            assert cost.latency(batches, better, round_robin(batches, better), TORUS).total.mean() <= before + 1e-9
            assert budget is None or np.count_nonzero(better.table != replicas.table) <= budget


def test_the_surrogates_delta_is_its_objectives_change() -> None:
    batches, replicas = random_batches(6), replicas_of(random_table(6), 12)
    blocks = Blocks(batches, replicas, capacity_first_fit(batches, replicas, 5))
    for first, second in np.random.default_rng(0).integers(24, size=(200, 2)).tolist():
        before, delta = blocks.objective, blocks.delta(first, second)
        blocks.apply(first, second)
        assert blocks.objective - before == pytest.approx(delta, abs=1e-9)


def test_the_surrogate_orders_random_tables_as_the_full_simulation_does() -> None:
    batches = random_batches(1, experts=24, k=4, sizes=(300, 300, 300))
    replicas = replicas_of(random_table(0, experts=24, slots=4), 24)
    assert surrogate_order(batches, replicas, round_robin, TORUS) >= 0.8


def test_rank_correlation_is_one_for_the_same_order_and_minus_one_for_the_reverse() -> None:
    assert rank_correlation([1, 2, 3], [10, 20, 70]) == pytest.approx(1)
    assert rank_correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
