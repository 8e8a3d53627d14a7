"""Deltas of odd shapes, replicas of other experts, objectives, limits, and two stages against brute force."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from lab.oracle.brute_force import least
from lab.search.limits import MovedSlots, RowCap
from lab.search.objectives import FIGURES, OBJECTIVES
from lab.search.replica_counts import bound_router, delta, replaced
from lab.search.steps import Search, local, steps_of
from lab.search.swaps import Swaps
from lab.search.two_stage import two_stage
from lab.serving.cost import COMPAT, MEASURED, latency
from lab.serving.replicas import Replicas, replicas_of
from lab.serving.routing import block_aligned, first_fit, round_robin, row_blocks
from lab.serving.torus import Torus
from lab.traces.batches import Batches
from lab_cases import random_batches, random_table
from placement.errors import Problem

TORUS = Torus(4, 2)
Router = Callable[[Batches, Replicas], np.ndarray]


def short_blocks(batches: Batches, replicas: Replicas) -> np.ndarray:
    return block_aligned(batches, replicas, 4)


def total(batches: Batches, replicas: Replicas, router: Router, torus: Torus = TORUS) -> np.ndarray:
    return latency(batches, replicas, router(batches, replicas), torus).total


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize(
    ("k", "torus", "sizes"),
    [(1, Torus(4, 2), (9, 1, 2)), (5, Torus(1, 3), (30, 2)), (6, Torus(2, 1), (3, 40, 40)), (3, Torus(5, 2), (25, 25))],
)
def test_deltas_of_odd_shapes_are_full_evaluations(
    objective: str, k: int, torus: Torus, sizes: tuple[int, ...]
) -> None:
    # Batches of one token, replicas that serve all slow tokens, grids of one row, one column, and two devices.
    slots = -(-10 // torus.devices)
    for seed in range(4):
        batches = random_batches(seed, experts=8, k=k, rows=torus.rows, sizes=sizes)
        replicas = replicas_of(random_table(seed, 8, torus.devices, slots), 8)
        routed = round_robin(batches, replicas)
        swaps = Swaps(batches, replicas, routed, torus, MEASURED, OBJECTIVES[objective])
        for first, second in np.random.default_rng(seed).integers(replicas.table.size, size=(40, 2)).tolist():
            change, before = swaps.delta(first, second), swaps.objective
            bounded = swaps.delta(first, second, -1e-9)
            assert bounded == change or -1e-9 < bounded <= change + 1e-9
            swaps.apply(first, second)
            full = OBJECTIVES[objective](latency(batches, swaps.listed(), routed, torus, MEASURED).total)
            assert full == pytest.approx(before + change, abs=1e-9) and full == pytest.approx(swaps.objective, abs=1e-9)


def short_row_blocks(batches: Batches, replicas: Replicas) -> np.ndarray:
    return row_blocks(batches, replicas, 4)


@pytest.mark.parametrize("router", [round_robin, short_blocks, short_row_blocks, first_fit])
def test_a_replica_for_another_experts_changes_the_latency_by_its_delta(router: Router) -> None:
    checked = 0
    for seed in range(12):
        batches = random_batches(seed, k=1 if seed % 2 else 3, sizes=(40, 33, 9))
        replicas = replicas_of(random_table(seed), 12)
        bound, measure = bound_router(router, batches, replicas), list(OBJECTIVES.values())[seed % 3]
        swaps = Swaps(batches, replicas, bound(batches, replicas), TORUS, COMPAT, measure)
        rng = np.random.default_rng(seed)
        for _ in range(20):
            swaps.apply(*rng.integers(24, size=2).tolist())
            slot, expert = int(rng.integers(24)), int(rng.integers(12))
            change, bounded = delta(swaps, bound, slot, expert), delta(swaps, bound, slot, expert, -1e-9)
            assert bounded == change or -1e-9 < bounded <= change + 1e-9
            held = swaps.table.ravel()[slot]
            if held == expert or replicas.count[held] == 1:
                assert change == np.inf
                continue
            full = measure(total(batches, replaced(swaps.listed(), slot, expert), router))
            assert full - swaps.objective == pytest.approx(change, abs=1e-9)
            checked += 1
    assert checked > 50


def test_the_tokens_of_other_experts_decide_where_all_slow_ones_get_fast() -> None:
    # Of eight tokens of expert 0 in row 2, four go to row 0; without that replica, the two of expert 2 are the slowest.
    choices, origins = np.array([[0]] * 8 + [[2]] * 2, np.int32), np.array([2] * 8 + [0] * 2, np.int32)
    batches, torus = Batches(4, choices, origins, np.array([0, 10])), Torus(4, 1)
    replicas = replicas_of(np.array([[0, 3], [2, 3], [0, 1], [3, 1]]), 4)
    swaps = Swaps(batches, replicas, round_robin(batches, replicas), torus)
    after = total(batches, replaced(replicas, 0, 1), round_robin, torus).mean()
    assert delta(swaps, round_robin, 0, 1) == pytest.approx(after - swaps.objective, abs=1e-9)
    assert after < swaps.objective


def arrangements(replicas: int, slots: int) -> Iterator[list[int]]:
    """The devices of so many replicas, in all ways that give every device so many."""

    def rest(left: tuple[int, ...], device: int, devices: list[int]) -> Iterator[list[int]]:
        if not left:
            yield devices.copy()
        for chosen in combinations(left, slots) if left else ():
            for replica in chosen:
                devices[replica] = device
            yield from rest(tuple(one for one in left if one not in chosen), device + 1, devices)

    yield from rest(tuple(range(replicas)), 0, [0] * replicas)


def best_arrangement(batches: Batches, replicas: Replicas, torus: Torus) -> float:
    """The least mean latency of all ways to lay the same lists of replicas out."""
    routed, smallest = round_robin(batches, replicas), np.inf
    for devices in arrangements(len(replicas.slot), replicas.table.shape[1]):
        order = np.argsort(devices, kind="stable")
        slot = np.argsort(order)
        table = replicas.expert[order].reshape(replicas.table.shape)
        listed = replace(replicas, table=table, slot=slot, device=np.array(devices))
        smallest = min(smallest, float(latency(batches, listed, routed, torus).total.mean()))
    return smallest


def test_two_stages_reach_the_optimum_of_twelve_tiny_cases_and_hill_climbing_does_not() -> None:
    reached = {"hill climbing": 0, "two stages": 0}
    for seed in range(12):
        torus = Torus(3, 1)
        if seed % 2:
            batches, ids = random_batches(seed, experts=5, k=2, rows=3, sizes=(70, 50)), [*range(5), 0, 0, 1, 2]
            replicas = replicas_of(np.random.default_rng(seed).permutation(ids).reshape(3, 3), 5)
            optimum = best_arrangement(batches, replicas, torus)
        else:
            batches, ids = random_batches(seed, experts=4, k=2, rows=3, sizes=(70, 50)), [*range(4), 2, 3]
            replicas = replicas_of(np.random.default_rng(seed).permutation(ids).reshape(3, 2), 4)
            optimum = least(
                4, 3, 2, lambda table, b=batches, t=torus: total(b, replicas_of(table, 4), round_robin, t).mean()
            ).objective
        for name, steps in (("hill climbing", steps_of("local:2000")), ("two stages", None)):
            better = two_stage(batches, replicas, round_robin, torus, tries=2000, steps=steps)
            reached[name] += float(total(batches, better, round_robin, torus).mean()) <= optimum + 1e-9
    print(reached)
    assert reached["two stages"] == 12 > reached["hill climbing"]


@pytest.mark.parametrize("objective", FIGURES)
def test_two_stages_lower_the_figure_that_is_asked_for(objective: str) -> None:
    for seed in range(2):
        batches, replicas = random_batches(seed, sizes=(40,) * 12), replicas_of(random_table(seed), 12)
        better = two_stage(batches, replicas, round_robin, TORUS, tries=400, objective=objective)
        after, before = (FIGURES[objective](total(batches, each, round_robin)) for each in (better, replicas))
        assert after < before


def test_an_unknown_objective_is_refused() -> None:
    batches, replicas = random_batches(0), replicas_of(random_table(0), 12)
    with pytest.raises(ValueError, match="the objective is mean, p95, p99, got 'p50'"):
        two_stage(batches, replicas, round_robin, TORUS, objective="p50")


def test_percentiles_are_those_of_the_tables_that_are_printed() -> None:
    latencies = np.arange(1.0, 201.0)
    assert [FIGURES[name](latencies) for name in ("mean", "p95", "p99")] == [100.5, 190.0, 198.0]


def row_share(batches: Batches, replicas: Replicas, router: Router) -> float:
    load = np.bincount(replicas.device[router(batches, replicas)].ravel() // TORUS.cols, minlength=TORUS.rows)
    return float(load.max() / load.mean())


def test_a_row_cap_is_kept_and_a_table_beyond_it_is_refused() -> None:
    kept = 0
    for seed in range(6):
        batches, replicas = random_batches(seed), replicas_of(random_table(seed), 12)
        cap = row_share(batches, replicas, round_robin)
        better = two_stage(batches, replicas, round_robin, TORUS, tries=800, row_cap=cap)
        free = two_stage(batches, replicas, round_robin, TORUS, tries=800)
        assert row_share(batches, better, round_robin) <= cap + 1e-9
        kept += row_share(batches, free, round_robin) > cap
    with pytest.raises(Problem) as refused:
        two_stage(batches, replicas, round_robin, TORUS, tries=10, row_cap=1.0)
    fields = refused.value.fields()
    assert fields["what"] == "the table is beyond a limit before the search"
    assert fields["got"] == f"row 2 serves {cap:.4g} times the mean of the rows"
    assert (fields["expected"], fields["next"]) == ("at most 1 (--row-cap)", "raise the limit, or plan another table")
    assert kept, "no search without the cap goes beyond it"


def test_a_cap_allows_what_keeps_it_by_hand() -> None:
    # Two rows of two slots with 3 + 1 and 2 + 1 tokens; the mean row has 3.5.
    batches = random_batches(0, experts=4, k=2, rows=2, sizes=(4,))
    replicas = replicas_of(np.array([[0, 1], [2, 3]]), 4)
    swaps = Swaps(batches, replicas, round_robin(batches, replicas), Torus(2, 1))
    load = np.array([3, 1, 2, 1, 0])
    # 3 for 2 leaves 3 and 4; 1 for 2 leaves 5 and 2.
    for first, second, allowed in ((0, 2, [False, True, True]), (1, 2, [False, False, True])):
        for pair in ((first, second), (second, first)):
            assert [RowCap(load, 2, cap).allows(swaps, *pair) for cap in (1.1, 1.2, 1.5)] == allowed
    assert RowCap(load, 2, 1.2).refusal(swaps) is None


def test_an_experts_replicas_that_change_places_move_no_slot() -> None:
    batches = random_batches(0, experts=3, k=2, rows=2, sizes=(20,))
    replicas = replicas_of(np.array([[0, 1], [0, 2]]), 3)
    swaps = Swaps(batches, replicas, round_robin(batches, replicas), Torus(2, 1))
    limit = MovedSlots(replicas.table.ravel(), 0)
    assert limit.allows(swaps, 0, 2) and not limit.allows(swaps, 0, 3)


def test_restarts_are_never_worse_than_the_first() -> None:
    batches, replicas = random_batches(3), replicas_of(random_table(3), 12)
    means = []
    for times in (1, 4):
        better = two_stage(batches, replicas, round_robin, TORUS, tries=1, steps=steps_of("local:5"), restarts=times)
        means.append(total(batches, better, round_robin).mean())
    assert means[1] < means[0]


def test_steps_are_read_from_words() -> None:
    batches, replicas = random_batches(4), replicas_of(random_table(4), 12)

    def tried(steps: list) -> tuple[int, float]:
        searched = Search(Swaps(batches, replicas, round_robin(batches, replicas), TORUS), np.random.default_rng(0))
        for step in steps:
            step(searched)
        return searched.tried, searched.objective

    assert tried(steps_of("local:50")) == tried([lambda searched: local(searched, 50)])
    assert tried(steps_of("local:50,anneal:30:5:0.5,tabu:2:7:3"))[0] == 50 + 30 + 2 * 7
    assert tried(steps_of("lns:2:4"))[0] <= 2 * (4 + 6)


@pytest.mark.parametrize(
    "text", ["hill:10", "local", "local:0", "local:x", "local:5:5", "anneal:5:nan", "tabu:1.5", ""]
)
def test_words_that_are_no_step_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no step; expected one as local:2000, anneal:5000:20:0\.1, tabu:"):
        steps_of(text)
