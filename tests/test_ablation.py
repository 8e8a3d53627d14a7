"""The champion without one ingredient: what is then another, and the table of what each is worth."""

from __future__ import annotations

import math
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

import judge
from cases import grid_mapping, make_case, make_trace
from commands.policy_folder import staged
from judging import ablation, families, ingredients
from judging.ablation import BASELINE, POLICIES, WHOLE, columns, measure_all, table
from judging.ingredients import INGREDIENTS, measure, variant
from placement.answer import check_answer
from placement.deployment import changed_slots
from placement.grid import Cost
from placement.isolation.interface import policy_case
from planning.regimes import Regimes
from policies.champion import policy as champion
from submissions import run_case, tiny_grid

LAYERS, EXPERTS, WINDOW, TOKENS = 3, 16, 64, 4000
CASE = make_case(layers=LAYERS, experts=EXPERTS, devices=4, window=WINDOW)
COST = Cost(60.0, 88_080_384, 1e9)
# So cheap that a placement may move all.
CHEAP = Cost(60.0, 88_080_384, 9e11)


def course(parts: list[float], at: list[float], seed: int = 1) -> np.ndarray:
    """Counts of a window: some experts swing, and a part of the first loads has given way to the second."""
    rng = np.random.default_rng(seed)
    first, second = rng.dirichlet(np.full(EXPERTS, 4.0), size=(2, LAYERS))
    part = np.interp(np.arange(WINDOW) / WINDOW, at, parts)[:, None, None]
    swing = 1 + 0.1 * np.sin(np.arange(WINDOW))[:, None, None] * rng.choice([-1, 0, 1], size=EXPERTS)
    return rng.poisson(((1 - part) * first + part * second) * swing * TOKENS + 1).astype(np.int32)


OLD, NEW = course([0, 0], [0, 1]), course([1, 1], [0, 1])
# Half of a window each; and a change that goes on.
BOTH, CHANGING = course([0, 0, 1, 1], [0, 0.5, 0.51, 1]), course([0, 0, 0.7], [0, 0.7, 1])
COURSES = ((OLD, CHANGING), (OLD, NEW), (BOTH, BOTH))


def answers_of(kind: type) -> list[Any]:
    """What a policy answers in each of COURSES at both costs, on the initial deployment at every call."""
    found = []
    for windows, cost in product(COURSES, (COST, CHEAP)):
        policy, live = kind(view := policy_case(CASE, cost, 20 * WINDOW)), view.initial_deployment
        found += [policy.rebalance(hotness, live.copy(), (n + 1) * WINDOW + 1) for n, hotness in enumerate(windows)]
    return found


@cache
def answers(name: str) -> list[Any]:
    return answers_of(variant(POLICIES[name]))


def slots_moved(name: str) -> int:
    live = policy_case(CASE, COST, 1).initial_deployment
    return sum(changed_slots(live[layers], tables[layers]) for layers, tables in answers(name))


def are_same(some: list[Any], others: list[Any]) -> bool:
    pairs = zip(some, others, strict=True)
    return all(np.array_equal(mine, theirs) for pair in pairs for mine, theirs in zip(*pair, strict=True))


@pytest.mark.parametrize("name", INGREDIENTS)
def test_a_variant_answers_validly_and_not_as_the_champion(name: str) -> None:
    for answer in answers(name):
        check_answer(*answer, CASE)
    assert not are_same(answers(name), answers(WHOLE))


@pytest.mark.parametrize("name", INGREDIENTS)
def test_a_variant_differs_in_one_name_of_the_champions_module_and_leaves_that_alone(name: str) -> None:
    before = dict(vars(champion))
    ((replaced, value),) = INGREDIENTS[name].items()
    module = variant(INGREDIENTS[name]).rebalance.__globals__
    assert module[replaced] is value and before[replaced] != value
    constants = {name for name in before if name.isupper()} - {replaced}
    assert constants and all(module[constant] == before[constant] for constant in constants)
    assert vars(champion) == before


def test_nothing_left_out_is_the_champion() -> None:
    assert are_same(answers_of(champion.Policy), answers(WHOLE))


def after(kind: type[Regimes], *windows: np.ndarray) -> Regimes:
    regimes = kind(LAYERS, EXPERTS)
    for hotness in windows:
        regimes.add(hotness)
    return regimes


def shares(*windows: np.ndarray) -> np.ndarray:
    return np.mean([window / window.sum(axis=2, keepdims=True) for window in np.concatenate(windows)[:, None]], (0, 1))


def test_regimes_are_all_that_was_seen_or_the_window_alone() -> None:
    for kind, seen in ((ingredients.AllSeen, (OLD, NEW)), (ingredients.LastWindow, (NEW,))):
        blocks = after(kind, OLD, NEW).outlook()
        np.testing.assert_allclose(blocks.load(), shares(*seen), atol=1e-6)


def test_without_noise_the_loads_stay() -> None:
    blocks, whole = after(ingredients.Noiseless, OLD, NEW).outlook(), after(Regimes, OLD, NEW).outlook()
    assert not blocks.variance().any() and whole.variance().all()
    np.testing.assert_array_equal(blocks.load(), whole.load())


def test_loads_that_come_back_have_no_weight_where_nothing_returns() -> None:
    assert after(Regimes, BOTH, BOTH, BOTH).outlook().weights is not None
    assert after(ingredients.NothingReturns, BOTH, BOTH, BOTH).outlook().weights is None


def test_the_regime_before_is_not_pooled() -> None:
    assert len(after(Regimes, OLD, NEW).outlook().means) == 64
    assert len(after(ingredients.NotPooled, OLD, NEW).outlook().means) == 32


def test_the_less_a_slot_costs_the_more_are_moved() -> None:
    free, at_cost = "the price (CAUTION 0: every gain is taken)", "caution beyond the price (CAUTION 1)"
    assert slots_moved(free) > slots_moved(at_cost) > slots_moved(WHOLE) > 0


def test_the_table_holds_differences_of_means_over_ep_and_marks_what_helps_once() -> None:
    values = {WHOLE: (110.0, 112.0, 105.0, 105.0), "a": (109.0, 112.0, 106.0, 104.0), "b": (109.0, 109.0, 104.0, 104.0)}
    rows = [
        {"family": family, "ep": ep, "left_out": name, "score": scores[2 * n + m]}
        for n, family in enumerate(("X", "A"))
        for m, ep in enumerate((64, 256))
        for name, scores in values.items()
    ]
    assert table(pd.DataFrame(rows)).splitlines() == [
        "| left out | X, ep 64, 256 | A, ep 64, 256 | helps by more than 0.3 |",
        "|---|---|---|---|",
        f"| {WHOLE} | 111.00 | 105.00 |  |",
        "| a | +0.50 | +0.00 | on one family only |",
        "| b | +2.00 | +1.00 |  |",
    ]


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A grid of tiny traces of two models in place of the official one; a folder to keep what is finished."""
    models = {"DS-R1": {"layers": 1, "experts": 8}, "Qwen3": {"layers": 2, "experts": 8}}
    names = (("DS-R1", "LmSys"), ("DS-R1", "Mix"), ("Qwen3", "LmSys"))
    cases = [{"model": model, "dataset": dataset, "ep": [2, 4]} for model, dataset in names]
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump(grid_mapping(window=1024, models=models, cases=cases)))
    for family in ("official", "independent"):
        monkeypatch.setitem(families.FAMILIES, family, tmp_path / "grid.yaml")
    places = {"one": ("official", "DS-R1/Mix", (4,)), "alone": ("independent", "DS-R1/LmSys", (2, 4))}
    monkeypatch.setattr(ablation, "COLUMNS", places | {"recorded": ("requests", "GPT-OSS-20B/drifting", (8,))})
    monkeypatch.setattr(ablation, "KEPT", tmp_path / "kept")
    few = {name: POLICIES[name] for name in (BASELINE, WHOLE, "loads that come back")}
    monkeypatch.setattr(ablation, "POLICIES", few)
    return tmp_path / "kept"


def test_a_finished_unit_is_not_measured_again(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count: list[str] = []

    def noted(trace: Any, case: Any, *rest: Any) -> dict[str, Any]:
        count.append(case.name)
        return measure(trace, case, *rest)

    monkeypatch.setattr(ablation, "measure", noted)
    wanted = columns(5, 6)
    assert [(column.name, [case.ep for case in column.cases]) for column in wanted] == [("one", [4]), ("alone", [2, 4])]
    first = measure_all(wanted, tiny, 1, str)
    assert len(count) == 9 and set(first["left_out"]) == {WHOLE, "loads that come back"}
    next(tiny.iterdir()).unlink()
    assert measure_all(wanted, tiny, 1, str).equals(first) and len(count) == 10
    # Another seed is another trace.
    measure_all(columns(7, 6)[:1], tiny, 1, str)
    assert len(count) == 13


def test_the_command_prints_the_table_and_needs_requests_for_their_columns(
    tiny: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert judge.main(["ablation", "--seed", "5", "--jobs", "1", "--ep", "4"]) == 0
    *_, head, _, whole, last = capsys.readouterr().out.splitlines()
    assert head == "| left out | one, ep 4 | alone, ep 4 | helps by more than 0.3 |"
    assert whole.startswith(f"| {WHOLE} | ") and last.startswith("| loads that come back | ")
    assert judge.main(["ablation", "--requests", str(tmp_path / "none.npz")]) == 2


def test_a_replay_in_this_process_measures_what_one_in_a_policys_process_does() -> None:
    trace, grid = make_trace(np.concatenate(COURSES[0] + COURSES[1])), tiny_grid(case_seconds=300.0, call_seconds=100.0)
    with staged(ingredients.CHAMPION.parent) as folder:
        row = run_case(folder, CASE, trace, grid, math.inf).row
    found = measure(trace, CASE, grid.cost, {})
    assert row["status"] == "ok" and found["transmit_amount"] > 0
    assert found == {name: row[name] for name in found}


def test_an_ep_that_no_family_has_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert judge.main(["ablation", "--ep", "3"]) == 2
    said = "no family is measured at this ep. Got: 3. Expected: 8 .. 256, as in the table of docs/ablation.md. "
    assert said in capsys.readouterr().out
