"""The gallery's production balancers and DS-EPLB's relatives: valid answers, and what sets each apart, by hand."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import numpy as np
import pytest

from cases import make_case, make_trace
from conftest import ROOT
from placement.ds_eplb import ds_eplb
from placement.grid import Case, Cost
from placement.isolation.interface import policy_case
from placement.isolation.reading import read_class_answer
from placement.replay import Replay, replay

COST = Cost(60.0, 88_080_384, 900_000_000_000)
DOUBLES = ["once", "sticky_eplb", "ds_eplb_hierarchical", "vllm", "sglang"]
NAMES = [*DOUBLES, "vllm_ascend"]
# Experts, devices, redundant experts: one slot more on each device, none more, several more, more devices than experts.
SIZES = [(12, 4, 4), (12, 4, 0), (8, 4, 8), (6, 8, 10), (16, 8, 8), (5, 3, 1)]


def load(name: str) -> ModuleType:
    path = ROOT / "starting_kit" / "policies" / name / "policy.py"
    spec = importlib.util.spec_from_file_location(f"gallery_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make_policy(name: str, case: Case, iterations: int = 100):
    return load(name).Policy(policy_case(case, COST, iterations))


def run(name: str, case: Case, hotness: np.ndarray) -> Replay:
    """The policy's replay, in this process."""
    policy, trace = make_policy(name, case, len(hotness)), make_trace(hotness)
    return replay(
        trace,
        case,
        lambda start, stop, table, iteration: read_class_answer(
            policy.rebalance(trace.window(start, stop), table, iteration)
        ),
    )


def ask(name: str, weights: list[list[int]], deployment: list | np.ndarray, **sizes):
    """The policy's answer to a window in which every iteration has these weights: [layer, expert]."""
    live = np.array(deployment)
    layers, devices, slots = live.shape
    experts = len(weights[0])
    case = make_case(layers, experts, devices, redundant=devices * slots - experts, **sizes)
    hotness = np.tile(np.array(weights, np.int32), (case.window, 1, 1))
    return read_class_answer(make_policy(name, case).rebalance(hotness, live, 4))


def has_doubles(rows: np.ndarray) -> bool:
    return any(len(set(device)) < len(device) for device in rows.tolist())


def drawn(rng: np.random.Generator, iterations: int, layers: int, experts: int) -> np.ndarray:
    """Hotness whose hot experts are others after half of the iterations."""
    halves = rng.lognormal(3, 1.5, (2, layers, experts))
    return np.concatenate([rng.poisson(half, (iterations // 2, layers, experts)) for half in halves])


# All of them


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", NAMES)
def test_every_answer_is_valid_on_a_trace_that_changes(name: str, size: tuple[int, int, int]) -> None:
    experts, devices, redundant = size
    rng = np.random.default_rng(experts * devices + redundant)
    case = make_case(3, experts, devices, window=5, latency=1, redundant=redundant)
    measured = run(name, case, drawn(rng, 40, 3, experts))
    assert len(measured.calls) > 1 and measured.applications


@pytest.mark.parametrize("name", NAMES)
def test_a_case_with_groups_and_nodes_is_answered_too(name: str) -> None:
    case = make_case(3, 16, 8, window=5, groups=4, nodes=2)
    assert run(name, case, drawn(np.random.default_rng(1), 40, 3, 16)).applications


@pytest.mark.parametrize("name", NAMES)
def test_an_expert_lies_twice_on_a_device_only_where_the_docstring_says_so(name: str) -> None:
    # Expert 0 gets the two redundant replicas and so three replicas for two devices; vllm-ascend gives it two.
    _, table = ask(name, [[12, 5, 3, 3]], [[[0, 1, 1], [2, 3, 3]]])
    text = load(name).__doc__
    if name in DOUBLES:
        assert has_doubles(table[0]) and "An expert may lie twice on a device" in text
    else:
        assert not has_doubles(table[0]) and "No expert lies twice on a device" in text


# DS-EPLB's relatives


def test_once_plans_as_ds_eplb_and_declines_every_later_call() -> None:
    case = make_case(2, 8, 4)
    policy = make_policy("once", case)
    first, second = np.random.default_rng(2).integers(1, 99, (2, 3, 2, 8))
    live = policy.case.initial_deployment
    layers, table = policy.rebalance(first, live, 4)
    assert list(layers) == [0, 1] and (table == ds_eplb(first.sum(axis=0), 4, 4)).all()
    assert policy.rebalance(second, table, 9) is None
    assert policy.rebalance(first, live, 14) is None


def test_sticky_eplb_renames_devices_and_aligns_slots() -> None:
    # DS-EPLB plans [[0, 3], [1, 2]].
    layers, table = ask("sticky_eplb", [[4, 3, 2, 1]], [[[2, 1], [3, 0]]])
    assert layers.tolist() == [0] and table.tolist() == [[[2, 1], [3, 0]]]


@pytest.mark.parametrize("seed", range(3))
def test_sticky_eplb_balances_as_ds_eplb_and_changes_fewer_slots(seed: int) -> None:
    rng = np.random.default_rng(seed)
    case = make_case(3, 16, 8, window=5)
    hotness = drawn(rng, 60, 3, 16)
    measured, plain = run("sticky_eplb", case, hotness), run("ds_eplb", case, hotness)
    np.testing.assert_allclose(measured.par, plain.par)
    assert measured.transmit_amount < plain.transmit_amount


def test_vllm_keeps_the_slot_of_an_expert_that_stays_on_its_device() -> None:
    # DS-EPLB plans [[0, 3], [1, 2]]; in the second deployment 2 and 3 lie on each other's device.
    assert ask("vllm", [[4, 3, 2, 1]], [[[3, 0], [2, 1]]])[1].tolist() == [[[3, 0], [2, 1]]]
    assert ask("vllm", [[4, 3, 2, 1]], [[[2, 0], [3, 1]]])[1].tolist() == [[[3, 0], [2, 1]]]


def test_vllm_does_not_rename_devices() -> None:
    layers, table = ask("vllm", [[4, 3, 2, 1]] * 2, [[[1, 2], [0, 3]]] * 2)
    assert layers.tolist() == [0, 1] and table.tolist() == [[[0, 3], [1, 2]]] * 2


@pytest.mark.parametrize(
    ("experts", "devices", "expected"),
    [
        (256, 32, (8, 4)),
        (256, 64, (8, 8)),
        (256, 128, (1, 1)),
        (128, 32, (8, 4)),
        (256, 8, (8, 1)),
        (256, 4, (1, 1)),
        (240, 24, (1, 1)),
        (240, 20, (1, 1)),
        (60, 16, (1, 1)),
    ],
)
def test_hierarchical_mode_takes_eight_groups_and_nodes_of_eight_where_they_divide(
    experts: int, devices: int, expected: tuple[int, int]
) -> None:
    case = make_case(1, experts, devices, redundant=-experts % devices)
    assert load("ds_eplb_hierarchical").hierarchy(case) == expected


@pytest.mark.parametrize("name", ["once", "sticky_eplb", "ds_eplb_hierarchical", "vllm"])
def test_a_case_with_groups_and_nodes_is_planned_with_them(name: str) -> None:
    weights = np.random.default_rng(4).integers(1, 99, (1, 16))
    live = np.arange(16).reshape(1, 8, 2)[:, :, [0, 1, 1]]
    _, table = ask(name, weights.tolist(), live, groups=4, nodes=2)
    # Devices may be renamed, and slots reordered.
    held = [sorted(np.sort(rows, axis=1).tolist()) for rows in (table[0], ds_eplb(weights * 3, 8, 8, 4, 2)[0])]
    assert held[0] == held[1]


def test_hierarchical_mode_keeps_the_eight_groups_of_a_case_without_its_own_together() -> None:
    weights = np.random.default_rng(5).lognormal(4, 1, (1, 32)).astype(int) + 1
    live = np.arange(32).reshape(1, 16, 2)[:, :, [0, 1, 1]]
    _, table = ask("ds_eplb_hierarchical", weights.tolist(), live)
    first, second = (set((table[0, node] // 4).ravel().tolist()) for node in (slice(8), slice(8, 16)))
    assert len(first) == len(second) == 4 and first.isdisjoint(second)


# SGLang


def slow_replicas(loads: list[list[float]], redundant: int) -> list[int]:
    """One layer: try every expert for every redundant replica; loads [step][expert]."""
    experts = len(loads[0])
    replicas = [1] * experts
    for _ in range(redundant):
        totals = []
        for one in range(experts):
            tried = [number + (expert == one) for expert, number in enumerate(replicas)]
            totals.append(sum(max(load / number for load, number in zip(step, tried, strict=True)) for step in loads))
        replicas[totals.index(min(totals))] += 1
    return replicas


@pytest.mark.parametrize("seed", range(5))
def test_sglangs_replicas_equal_the_slow_oracle(seed: int) -> None:
    loads = np.random.default_rng(seed).lognormal(2, 1, (3, 6, 7))
    expected = [slow_replicas(layer.tolist(), 9) for layer in loads]
    assert load("sglang").replicas_over_steps(loads, 9).tolist() == expected


def test_sglang_replicates_for_bursts_that_the_sum_hides() -> None:
    # The largest loads are 10 and 10; a replica of 0 or 1 makes one of them 6. Expert 2 has the largest sum, 12.
    loads = np.array([[[10.0, 1, 6], [1, 10, 6]]])
    replicas = load("sglang").replicas_over_steps
    assert replicas(loads, 1).tolist() == [[2, 1, 1]]
    assert replicas(loads, 2).tolist() == [[2, 2, 1]]
    assert replicas(loads.sum(axis=1, keepdims=True), 1).tolist() == [[1, 1, 2]]


def test_sglang_plans_from_the_steps_of_the_window_and_the_higher_of_equal_experts_is_replicated() -> None:
    case = policy_case(make_case(1, 3, 4, redundant=1), COST, 100)
    hotness = np.array([[[10, 1, 6]], [[1, 10, 6]]], np.int32)
    _, table = load("sglang").Policy(case).rebalance(hotness, case.initial_deployment, 4)
    # Sums 11, 11, 12: a second replica of 1 makes the order 2, 0, 1, 1.
    assert table.tolist() == [[[2], [0], [1], [1]]]


def test_sglang_deals_replicas_out_in_a_snake() -> None:
    # Replicas by weight: 1 (6), 0 0 (5 5), 2 (4), 3 (3), 4 (1).
    deal = load("sglang").deal_in_a_snake
    table = deal(np.array([[10.0, 6, 4, 3, 1]]), np.array([[2, 1, 1, 1, 1]]), 2)
    assert table.tolist() == [[[1, 2, 3], [0, 0, 4]]]


def test_sglang_measures_how_well_devices_are_used_step_by_step() -> None:
    # Loads of the devices: 2 and 2, then 4 and 2.
    loads = np.array([[[1.0, 1, 1, 1], [3, 1, 1, 1]]])
    assert load("sglang").utilisation(loads, np.array([[[0, 1], [2, 3]]])) == pytest.approx((1 + 3 / 4) / 2)


def test_sglang_skips_a_call_above_its_threshold_which_nothing_reaches_by_default() -> None:
    module = load("sglang")
    case = policy_case(make_case(1, 4, 2, redundant=0), COST, 100)
    hotness, live = np.full((3, 1, 4), 5, np.int32), np.array([[[0, 1], [2, 3]]])
    assert module.Policy(case).rebalance(hotness, live, 4) is not None
    module.UTILISATION = 0.99
    assert module.Policy(case).rebalance(hotness, live, 4) is None
    hotness[:, :, 0] = 6
    assert module.Policy(case).rebalance(hotness, live, 4) is not None


# vllm-ascend


def test_vllm_ascends_plan_computed_by_hand() -> None:
    # Replicas: 0, then 1, as 0 has one for each device. The added ones lie on devices 0 and 1 (loads 6, 2.5). First
    # ones: 0 (6) on 1, which does not hold it, 2 (3) on 0, 3 (3) on 1, which is full, 1 (2.5) on 0: 11.5 each.
    # Device 0 keeps 0 and 1 in their slots, device 1 keeps 3.
    layers, table = ask("vllm_ascend", [[12, 5, 3, 3]], [[[0, 1, 1], [2, 3, 3]]])
    assert layers.tolist() == [0] and table.tolist() == [[[0, 1, 2], [1, 3, 0]]]


def test_vllm_ascend_declines_a_gain_of_less_than_five_percent() -> None:
    live = [[[0, 1], [2, 3]]]
    # The busiest device has 104 and 106, and could have 100.
    assert ask("vllm_ascend", [[50, 54, 50, 46]], live) is None
    assert ask("vllm_ascend", [[50, 56, 50, 44]], live)[1].tolist() == [[[3, 1], [2, 0]]]


def test_vllm_ascend_weighs_the_sum_over_layers() -> None:
    live = [[[0, 1], [2, 3]]] * 2
    # 106 + 100 against 200, then 130 + 100 against 200: all layers, the one that gains first.
    assert ask("vllm_ascend", [[50, 50, 50, 50], [50, 56, 50, 44]], live) is None
    layers, _ = ask("vllm_ascend", [[50, 50, 50, 50], [50, 80, 50, 20]], live)
    assert layers.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("loads", "rows", "mended"),
    [
        # A replica of 0 weighs 4; with one replica more, 1 would weigh 3 and 2 would weigh 1.
        ([8, 6, 2], [[0, 0], [1, 2]], [[0, 1], [1, 2]]),
        # Of three replicas of 0, the first to go weighs 4 and the next 6; the others would weigh 4, 6 and 4.1.
        ([12, 8, 12, 8.2], [[0, 0, 0], [1, 2, 3]], [[0, 1, 2], [1, 2, 3]]),
        # 4, where the others would weigh 4.5 and 3.45; then 5.33, where 1 would weigh 3, as it has a replica more.
        ([16, 9, 6.9], [[0, 0], [0, 0], [1, 2]], [[0, 1], [0, 2], [1, 2]]),
    ],
)
def test_vllm_ascend_replaces_a_double_by_what_weighs_nearly_the_same(
    loads: list[float], rows: list[list[int]], mended: list[list[int]]
) -> None:
    loads, rows = np.array(loads, float), np.array(rows)
    replicas = np.bincount(rows.ravel())
    assert load("vllm_ascend").without_doubles(rows, loads, replicas).tolist() == mended


@pytest.mark.parametrize("seed", range(10))
def test_vllm_ascend_plans_every_expert_and_none_twice_on_a_device(seed: int) -> None:
    rng, plan = np.random.default_rng(seed), load("vllm_ascend").plan
    for _ in range(20):
        devices, slots = int(rng.integers(1, 7)), int(rng.integers(1, 5))
        experts = int(rng.integers(slots, devices * slots + 1))
        rows = plan(rng.lognormal(0, 2, experts), devices, devices * slots - experts)
        assert rows.shape == (devices, slots)
        assert set(rows.ravel().tolist()) == set(range(experts)) and not has_doubles(rows)


def test_vllm_ascend_keeps_the_deployment_where_devices_have_more_slots_than_there_are_experts() -> None:
    assert ask("vllm_ascend", [[9, 1]], [[[0, 0, 0], [1, 1, 1]]]) is None
