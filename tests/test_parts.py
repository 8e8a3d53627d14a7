"""Where the seconds of a case go: five parts that add up, and the lever that a policy has."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cases import Answers, B, C, P, make_case, make_trace, redeploy, steady_trace
from judging.variants import write_policies
from placement.clairvoyant import clairvoyant_par
from placement.deployment import initial_deployment
from placement.ds_eplb import ds_eplb
from placement.explain import explain
from placement.grid import Case, Cost
from placement.parts import fixed_par, later_par, roll_out_par
from placement.replay import Rebalance, replay
from placement.results import identity, measures, series
from placement.roll_out import fixed_iterations
from placement.trace import Trace
from scores.companions import Companions
from scores.lever import Lever
from scores.parts import Parts, seconds_above, seconds_parts, sums
from scores.seconds_table import case_lever
from traces import reference

ROOT = Path(__file__).resolve().parent.parent
COST = Cost(60.0, 88_080_384, 900_000_000_000)
# So dear that moves are what costs most.
DEAR = Cost(60.0, 88_080_384, 9_000_000)


def example(latency: int = 0) -> tuple[float, float]:
    trace, answers = steady_trace(12), Answers(redeploy([1, 0], [B, P]), redeploy([0], [C, P]))
    return roll_out_par(replay(trace, make_case(latency=latency), answers), trace)


def test_the_worked_example_loses_half_a_par_of_one_iteration_and_wins_a_quarter_of_another() -> None:
    # Layer 0 waits in iteration 6 for B, 1.5 -> 1, and in iteration 11 for C, 1 -> 1.25. Layer 1 comes at once.
    measured, least = example()
    assert measured == pytest.approx((0.5 - 0.25) / 24)
    page = " ".join((ROOT / "pages" / "evaluation.md").read_text(encoding="utf-8").split())
    assert f"the fixed part is {60 * 5 / 24} s, and the roll-out {60 * measured:g} s" in page
    # Listed first at call 1, layer 0 would not wait.
    assert least == pytest.approx(-0.25 / 24)


def test_the_fixed_iterations_end_with_the_first_layer_that_can_be_applied() -> None:
    assert [fixed_iterations(make_case(latency=latency), 12) for latency in (0, 2)] == [5, 7]
    assert fixed_iterations(make_case(), 4) == 4
    par = np.array([[2.0, 1.0]] * 5 + [[1.5, 1.5]] * 7)
    assert fixed_par(par, make_case()) == pytest.approx(5 / 24)
    assert later_par(par, make_case()) == pytest.approx(7 / 24)


def test_a_case_without_a_redeployment_has_no_roll_out() -> None:
    trace = steady_trace(12)
    assert roll_out_par(replay(trace, make_case(), lambda *_: None), trace) == (0.0, 0.0)


@pytest.mark.parametrize("seed", range(5))
def test_the_roll_out_is_what_applying_all_layers_at_once_would_save(seed: int) -> None:
    rng = np.random.default_rng(seed)
    case, trace = make_case(layers=5, window=4, latency=seed % 3), make_trace(rng.integers(1, 50, (60, 5, 4)))
    measured = replay(trace, case, everything(trace, case, rng))
    # The slow way: every row counts from the iteration after its call on, or after the fixed ones.
    first, saved = fixed_iterations(case, 60), 0.0
    for application in measured.applications:
        for iteration in range(max(measured.calls[application.call - 1], first) + 1, application.iteration + 1):
            tokens = trace.window(iteration - 1, iteration)[0, application.layer]
            share = tokens / np.bincount(application.rows.ravel(), minlength=4)
            loads = share[application.rows].sum(axis=1)
            saved += measured.par[iteration - 1, application.layer] - loads.max() / loads.mean()
    rolled, least = roll_out_par(measured, trace)
    assert rolled == pytest.approx(saved / measured.par.size)
    assert least <= rolled + 1e-12 and measured.applications


def everything(trace: Trace, case: Case, rng: np.random.Generator) -> Rebalance:
    """DS-EPLB on every window, in an order of chance."""

    def rebalance(start: int, stop: int, table: np.ndarray, iteration: int) -> tuple[np.ndarray, np.ndarray]:
        weights = trace.window(start, stop).sum(axis=0)
        return rng.permutation(case.layers), ds_eplb(weights, case.devices, case.redundant_experts)

    return rebalance


# The five parts


def rows_of(
    trace: Trace, case: Case, rebalance: Rebalance, cost: Cost = COST
) -> tuple[dict[str, object], dict[str, object], Companions]:
    """A policy's row, the reference's, and the companions that the page has of both."""
    mine, baseline = replay(trace, case, rebalance), replay(trace, case, reference.ds_eplb_policy(trace, case))
    static, clairvoyant = replay(trace, case, reference.decline).par, clairvoyant_par(trace, case)
    known = reference.row(case, SimpleNamespace(cost=cost), trace, baseline, static, clairvoyant)
    row = identity(case, cost, trace.sha256) | measures(mine, trace) | {"status": "ok"}
    key = f"{case.model}/{case.dataset}/{case.ep}"
    explained = explain(mine, trace)
    curves = {f"{key}/{name}": values for name, values in series(mine).items()}
    theirs = {f"{key}/clairvoyant/par": clairvoyant.mean(axis=1)}
    theirs |= {f"{key}/ds_eplb/{name}": values for name, values in series(baseline).items()}
    return row, known, Companions(curves, {key: explained}, theirs, [])


def gallery(name: str, written: Path) -> Callable[[SimpleNamespace], object]:
    """The class of a policy that ships, of the template, or of the tutorial's last step, which goes to a folder."""
    file = ROOT / "starting_kit" / ("policy.py" if name == "template" else f"policies/{name}/policy.py")
    if name == "tutorial":
        file = write_policies(written)["tutorial: memory"] / "policy.py"
    spec = importlib.util.spec_from_file_location(f"parts_{name}", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Policy


@pytest.mark.parametrize("name", ["template", "tutorial", "ds_eplb", "sticky_eplb", "champion", "declines"])
def test_the_five_parts_of_a_policy_and_of_ds_eplb_add_up_to_the_modeled_seconds(name: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    hotness = rng.poisson(rng.lognormal(3, 1, (1, 6, 16)) * rng.lognormal(0, 0.2, (200, 6, 16)))
    trace, case = make_trace(hotness), make_case(layers=6, experts=16, devices=4, window=32)
    sizes = SimpleNamespace(layers=6, experts=16, devices=4, redundant_experts=4, slots=5, groups=1, nodes=1)
    sizes.window, sizes.iterations, sizes.latency = 32, 200, 0
    sizes.balanced_compute_seconds, sizes.expert_bytes, sizes.bandwidth_bytes_per_second = 60.0, 88_080_384, 9e11
    sizes.initial_deployment = initial_deployment(6, 16, 4)
    policy = None if name == "declines" else gallery(name, tmp_path)(sizes)

    def rebalance(start: int, stop: int, table: np.ndarray, iteration: int) -> tuple[np.ndarray, np.ndarray] | None:
        answer = policy and policy.rebalance(trace.window(start, stop), table, iteration)
        return redeploy(list(answer[0]), answer[1]) if answer else None

    row, known, _ = rows_of(trace, case, rebalance)
    for each in (row, known):
        parts = seconds_parts(each, known)
        assert sum(parts) == pytest.approx(seconds_above(each), abs=1e-9)
        assert parts.fixed == pytest.approx(seconds_parts(known, known).fixed, abs=1e-12) and parts.fixed > 1
    assert (row["redeployed_layers"] == 0) == (name == "declines")


def test_the_parts_of_several_cases_add_up_and_one_that_is_unknown_leaves_no_sum() -> None:
    assert sums([Parts(1, 2, 3, 4, 5), Parts(1, 1, -4, 1, 1)]) == Parts(2, 3, -1, 5, 6)
    assert sums([Parts(1, 2, 3, 4, 5), None]) is None and sums([]) is None


@pytest.mark.parametrize("field", ["fixed_par", "roll_out_par"])
@pytest.mark.parametrize("value", [None, True, "1", float("nan"), 1e300])
def test_there_are_no_parts_without_their_numbers(field: str, value: object) -> None:
    trace = steady_trace(12)
    row, known, companions = rows_of(trace, make_case(), Answers(redeploy([1, 0], [B, P]), None))
    assert seconds_parts(row | {field: value}, known) is None
    assert case_lever(row | {field: value}, known, companions) is None


# The lever, on cases in which it is known

WINDOW = 64


def loads(iterations: int, layers: int = 4, experts: int = 8) -> np.ndarray:
    """Steady hotness, the same in every layer: the first experts of the initial deployment are hot."""
    return np.tile(np.array([80, 60, 10, 10, 8, 8, 6, 6]), (iterations, layers, 1))


def planned(trace: Trace, case: Case, order: list[int], windows: int | None = None) -> Rebalance:
    """DS-EPLB on the last window, layers in `order`; only at the first `windows` calls, where that is given."""
    calls = 0

    def rebalance(start: int, stop: int, table: np.ndarray, iteration: int) -> tuple[np.ndarray, np.ndarray] | None:
        nonlocal calls
        calls += 1
        if windows is not None and calls > windows:
            return None
        weights = trace.window(start, stop).sum(axis=0)
        return np.array(order), ds_eplb(weights, case.devices, case.redundant_experts)

    return rebalance


def found(trace: Trace, rebalance: Rebalance, cost: Cost = COST, layers: int = 4, window: int = WINDOW) -> Lever:
    case = make_case(layers=layers, experts=8, devices=4, window=window)
    row, known, companions = rows_of(trace, case, rebalance, cost)
    return case_lever(row, known, companions)


def test_a_policy_that_always_declines_reads_that_it_must_redeploy() -> None:
    said = found(make_trace(loads(640)), reference.decline)
    assert (said.part, said.short) == ("settled", "redeploy")
    assert said.advice.endswith("Answer a call with layers to redeploy.")


def test_a_policy_that_keeps_its_plan_after_a_switch_reads_where_the_switch_is() -> None:
    hotness = loads(1280)
    hotness[700:] = hotness[700:, :, ::-1]
    trace, case = make_trace(hotness), make_case(layers=4, experts=8, devices=4, window=WINDOW)
    said = found(trace, planned(trace, case, [0, 1, 2, 3], windows=1))
    assert said.part == "settled" and said.short.startswith("react to the switch at ")
    assert abs(int(said.short.split()[-1]) - 701) <= WINDOW // 4
    assert "planning.memory.switch" in said.advice


def test_a_policy_that_lists_the_layers_that_gain_most_last_reads_to_order_by_gain() -> None:
    layers = 40
    hotness = np.full((640, layers, 8), 20)
    hotness[:, -1] = [200, 200, 1, 1, 1, 1, 1, 1]
    trace, case = make_trace(hotness), make_case(layers=layers, experts=8, devices=4, window=WINDOW)
    said = found(trace, planned(trace, case, list(range(layers)), windows=1), layers=layers)
    assert (said.part, said.short) == ("roll-out", "order by gain")
    best = found(trace, planned(trace, case, list(range(layers))[::-1], windows=1), layers=layers)
    assert best.part != "roll-out"


def test_a_policy_whose_moves_cost_most_reads_to_move_less() -> None:
    trace, case = make_trace(loads(640)), make_case(layers=4, experts=8, devices=4, window=WINDOW)
    said = found(trace, planned(trace, case, [0, 1, 2, 3]), DEAR)
    assert (said.part, said.short) == ("transfer", "fewer moves")


def test_a_policy_that_plans_for_the_noise_of_its_window_reads_to_remember_more() -> None:
    rng = np.random.default_rng(3)
    # Eight iterations say little of loads that scatter as much as they are; one layer has no order.
    trace = make_trace(loads(1280, layers=1) * rng.gamma(1, 1, (1280, 1, 8)) + 1)
    case = make_case(layers=1, experts=8, devices=4, window=8)
    said = found(trace, planned(trace, case, [0]), layers=1, window=8)
    assert (said.part, said.short) == ("settled", "longer memory")


def test_a_policy_whose_plans_are_worse_than_ds_eplbs_reads_to_plan_better() -> None:
    trace = make_trace(loads(640))
    # Each hot expert beside another, which DS-EPLB would not do.
    bad = np.tile([[0, 1, 2], [3, 4, 5], [6, 7, 2], [3, 4, 5]], (4, 1, 1))
    said = found(trace, Answers(redeploy([0, 1, 2, 3], bad), *[None] * 20))
    assert (said.part, said.short) == ("settled", "better plans")
    assert "DS-EPLB plans from the last window alone, and loses 0.00 s in that part." in said.advice


def answering(trace: Trace, case: Case, at: set[int], layers: list[int]) -> Rebalance:
    """DS-EPLB on the last window for some layers, at some calls, which are numbered from 1; it declines others."""
    inner, calls = planned(trace, case, layers), 0

    def rebalance(start: int, stop: int, table: np.ndarray, iteration: int) -> tuple[np.ndarray, np.ndarray] | None:
        nonlocal calls
        calls += 1
        return inner(start, stop, table, iteration) if calls in at else None

    return rebalance


@pytest.mark.parametrize("first", [5, 9])
def test_a_policy_that_declines_its_first_calls_reads_to_redeploy_sooner(first: int) -> None:
    trace, case = make_trace(loads(640)), make_case(layers=4, experts=8, devices=4, window=WINDOW)
    said = found(trace, answering(trace, case, {first}, [0, 1, 2, 3]))
    assert (said.part, said.short) == ("settled", "redeploy sooner")
    late = f"The policy declined {first - 1} calls before the first redeployment (iteration {first * 65 - 64 + 64})."
    assert late in said.advice


def test_a_policy_that_leaves_layers_out_reads_to_redeploy_them() -> None:
    trace, case = make_trace(loads(640)), make_case(layers=4, experts=8, devices=4, window=WINDOW)
    said = found(trace, answering(trace, case, {1}, [2]))
    assert (said.part, said.short) == ("settled", "redeploy the other layers")
    assert "never redeployed: 3." in said.advice


def test_a_policy_that_lags_behind_a_drift_reads_to_plan_from_newer_loads() -> None:
    turn = np.linspace(0, 1, 1280)[:, None, None]
    hotness = (loads(1280) * (1 - turn) + loads(1280)[:, :, ::-1] * turn).astype(np.int64)
    trace, case = make_trace(hotness), make_case(layers=4, experts=8, devices=4, window=WINDOW)
    said = found(trace, planned(trace, case, [0, 1, 2, 3]))
    assert (said.part, said.short) == ("settled", "newer loads")


def test_a_policy_that_redeploys_right_after_a_switch_does_not_read_to_react_to_it() -> None:
    hotness = loads(1280)
    hotness[700:] = hotness[700:, :, ::-1]
    trace, case = make_trace(hotness), make_case(layers=4, experts=8, devices=4, window=WINDOW)

    def rebalance(start: int, stop: int, table: np.ndarray, iteration: int) -> tuple[np.ndarray, np.ndarray]:
        # What comes last in the window is after the switch, if any is.
        weights = trace.window(stop - 1, stop).sum(axis=0)
        return np.arange(4), ds_eplb(weights, case.devices, case.redundant_experts)

    assert not found(trace, rebalance).short.startswith("react")


def test_where_nothing_can_be_gained_nothing_is_advised() -> None:
    flat = found(make_trace(np.full((640, 4, 8), 20)), reference.decline)
    assert (flat.part, flat.short) == ("", "-")


def test_a_plan_that_grows_old_reads_to_redeploy_again() -> None:
    turn = np.linspace(0, 1, 1280)[:, None, None]
    hotness = (loads(1280) * (1 - turn) + loads(1280)[:, :, ::-1] * turn).astype(np.int64)
    trace, case = make_trace(hotness), make_case(layers=4, experts=8, devices=4, window=WINDOW)
    said = found(trace, planned(trace, case, [0, 1, 2, 3], windows=1))
    assert (said.part, said.short) == ("settled", "redeploy again")
