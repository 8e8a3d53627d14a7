"""Calibration: the fit moves parameters towards the published figures, and goes on where an ended one was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calibration_cases import POLICIES, PROFILE, Here, target_of
from commands.calibrate import DEFAULT_FIT
from traces.calibration import errors
from traces.calibration.errors import Generated, Measurement, Target, measure
from traces.calibration.fit import Search, Step, fit, fittable, value_of
from traces.calibration.published import Cell, Published
from traces.generation.profile import LEAST_AND_MOST, LIMITS, LISTS, Profile

SWITCHING = PROFILE.with_parameters(
    switches=(100, 200), switch_width=10.0, regime_common=(0.9, 0.5, 0.1), regime_strength=(1.0, 0.8, 1.2)
)


def fitted(start: Profile, target: Target, search: Search) -> tuple[Step, list[Step]]:
    """What the fit returns, and every step that it shows."""
    heard: list[Step] = []
    return fit(start, target, search, Here(), heard.append), heard


@pytest.mark.parametrize(
    ("name", "start"), [("layer_sigma", 0.3), ("layer_sigma", 0.7), ("popularity_skew", -0.2), ("topic_strength", 0.2)]
)
def test_a_fit_moves_a_parameter_back(name: str, start: float) -> None:
    # With fewer layers a skew has other optima.
    known = replace(PROFILE, layers=16)
    best, heard = fitted(known.with_parameters(**{name: start}), target_of(known), Search([name], [1], 16, 4))
    value, expected = value_of(best.profile, name), value_of(known, name)
    assert abs(value - expected) < 0.3 * abs(start - expected)
    assert best.cost < 0.1 * heard[0].cost
    assert best.profile == known.with_parameters(**{name: value})


def test_slopes_come_from_fewer_layers_and_errors_from_all(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int | None, float]] = []

    def noting(trace: Generated, target: Target) -> Measurement:
        asked.append((trace.seed, trace.layers, trace.profile.parameters.layer_sigma))
        return measure(trace, target)

    monkeypatch.setattr("traces.calibration.fit.measure", noting)
    start = PROFILE.with_parameters(layer_sigma=0.4)
    best, _ = fitted(start, target_of(PROFILE), Search(["layer_sigma"], [1, 2, 3], 3, 1))
    moved = pytest.approx(0.4 * np.exp(0.04))
    slopes = [(1, 3, 0.4), (2, 3, 0.4), (1, 3, moved), (2, 3, moved)]
    new = value_of(best.profile, "layer_sigma")
    assert asked == [*((seed, None, 0.4) for seed in (1, 2, 3)), *slopes, *((seed, None, new) for seed in (1, 2, 3))]
    assert new != 0.4


def test_a_fit_tells_of_every_step_and_returns_the_best() -> None:
    target, start = target_of(PROFILE), PROFILE.with_parameters(layer_sigma=0.3, own_drift=0.1)
    best, heard = fitted(start, target, Search(["layer_sigma", "own_drift"], [1, 2], 4, 2))
    assert len(heard) == 3 and heard[0].profile == start
    assert best is min(heard, key=lambda step: step.cost) and best is not heard[0]
    assert [found.cells for found in heard[0].measurements] == [
        measure(Generated(start, seed), target).cells for seed in (1, 2)
    ]


def test_the_cost_adds_weighted_mean_squares_of_errors_averaged_over_seeds() -> None:
    target = target_of(PROFILE, seed=7, curves=(POLICIES[0], POLICIES[-1]), aside=("once:8",))
    best, _ = fitted(PROFILE, target, Search(["layer_sigma"], [1, 2], 4, 0))
    by_seed = [measure(Generated(PROFILE, seed), target).errors(target) for seed in (1, 2)]
    cost = 0.0
    for group, weight in target.groups().items():
        cost += weight * np.mean([(100 * (a + b) / 2) ** 2 for a, b in zip(*(e[group] for e in by_seed), strict=True)])
    assert best.cost == pytest.approx(cost) and cost > 0


def test_what_is_aside_moves_nothing() -> None:
    known = target_of(PROFILE)
    wrong = [cell._replace(mean_par=9.0) if cell.policy.name == "once" else cell for cell in known.published.cells]
    target = Target(Published(wrong, []), ("once:2", "once:8"))
    best, _ = fitted(PROFILE, target, Search(["layer_sigma"], [1], 4, 1))
    assert best.profile == PROFILE and best.cost == 0


def test_a_step_that_makes_things_worse_is_taken_back_and_the_next_is_shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    def steep_on_few_layers(trace: Generated, target: Target) -> Measurement:
        """PAR whose slope on few layers is a hundredth of the true one, so that steps are far too long."""
        sigma = np.log(trace.profile.parameters.layer_sigma / 0.5)
        return Measurement([errors.Measured(float(np.exp((0.01 if trace.layers else 1.0) * sigma)), 1.0)], [])

    monkeypatch.setattr("traces.calibration.fit.measure", steep_on_few_layers)
    start = PROFILE.with_parameters(layer_sigma=0.5 * np.exp(0.01))
    target = Target(Published([Cell(POLICIES[0], 1.0, 1)], []))
    best, heard = fitted(start, target, Search(["layer_sigma"], [1], 2, 3))
    lengths = [abs(np.log(value_of(step.profile, "layer_sigma") / value_of(start, "layer_sigma"))) for step in heard]
    assert heard[1].cost > heard[0].cost and lengths[0] == 0
    # As far as a step reaches, three times 0.04, at first.
    assert lengths[1] == pytest.approx(0.12) and lengths[1] >= lengths[2] > lengths[3]
    assert best is min(heard, key=lambda step: step.cost)


def test_a_parameter_that_nothing_depends_on_stays() -> None:
    start = PROFILE.with_parameters(own_drift=0.0)
    target = target_of(start.with_parameters(layer_sigma=0.4))
    best, _ = fitted(start, target, Search(["layer_sigma", "own_memory"], [1], 4, 1))
    assert best.profile.parameters.own_memory == start.parameters.own_memory
    assert best.profile.parameters.layer_sigma < 0.5


def test_equal_traces_of_a_step_are_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Generated] = []

    def noting(trace: Generated, target: Target) -> Measurement:
        asked.append(trace)
        return measure(trace, target)

    monkeypatch.setattr("traces.calibration.fit.measure", noting)
    start = PROFILE.with_parameters(own_drift=0.0)
    # A part of nothing is nothing: own_drift cannot move.
    fitted(start, target_of(PROFILE), Search(["own_drift"], [1], 2, 1))
    assert [trace.layers for trace in asked] == [None, 2, None]


def test_a_fit_stays_inside_what_the_model_allows() -> None:
    names = [name for name in fittable(SWITCHING) if name not in ("tokens_per_iteration", "switch_width")]
    plain = [name for name in names if ":" not in name]
    edges = {name: float(LIMITS.get(name, LEAST_AND_MOST)[0]) for name in plain} | {"topic_period_spread": 0.999}
    start = SWITCHING.with_parameters(**edges, regime_common=(0, 1, 0), switches=(0, 1))
    # Figures that nothing of this model has pull as far as a step reaches.
    for par in (1.0, 9.0):
        target = Target(Published([Cell(policy, par, 1) for policy in POLICIES[::2]], []))
        _, heard = fitted(start, target, Search(names, [1], 2, 2))
        assert len(heard) == 3


@pytest.mark.parametrize(
    ("name", "start", "known"),
    [
        ("switches:1", {"switches": (100, 240)}, 200),
        ("regime_strength:0", {"regime_strength": (0.9, 0.8, 1.2)}, 1.0),
    ],
)
def test_an_element_of_a_list_is_fitted(name: str, start: dict[str, tuple[float, ...]], known: float) -> None:
    true = replace(SWITCHING, layers=16)
    begin = true.with_parameters(**start)
    best, heard = fitted(begin, target_of(true), Search([name], [1], 16, 3))
    assert value_of(true, name) == known
    assert abs(value_of(best.profile, name) - known) < 0.5 * abs(value_of(begin, name) - known)
    assert best.cost < 0.5 * heard[0].cost
    others = [other for other in fittable(SWITCHING) if other != name]
    assert [value_of(best.profile, other) for other in others] == [value_of(SWITCHING, other) for other in others]


@pytest.mark.parametrize(
    ("name", "par", "switches"),
    [
        ("switches:0", 1e9, [(98, 150), (149, 150), (149, 150)]),
        ("switches:1", 1e-9, [(98, 150), (98, 99), (98, 99)]),
        ("switches:0", 1e-9, [(98, 150), (8, 150), (0, 150)]),
    ],
)
def test_switches_stay_in_order(
    monkeypatch: pytest.MonkeyPatch, name: str, par: float, switches: list[tuple[int, int]]
) -> None:
    def later_is_more(trace: Generated, target: Target) -> Measurement:
        return Measurement([errors.Measured(float(np.exp(0.01 * sum(trace.profile.parameters.switches))), 1.0)], [])

    monkeypatch.setattr("traces.calibration.fit.measure", later_is_more)
    target = Target(Published([Cell(POLICIES[0], par, 1)], []))
    _, heard = fitted(SWITCHING.with_parameters(switches=switches[0]), target, Search([name], [1], 4, 2))
    # As far as a step reaches, three times 30.
    assert [step.profile.parameters.switches for step in heard] == switches


def test_every_real_number_and_every_element_can_be_fitted() -> None:
    assert {"layer_sigma", "token_spread"} <= set(fittable(PROFILE))
    assert set(DEFAULT_FIT.split(",")) <= set(fittable(PROFILE))
    assert not {"topics", "neighbours", "top_k", "period_range", "phase_range", "switch_range", *LISTS} & set(
        fittable(SWITCHING)
    )
    elements = [name for name in fittable(SWITCHING) if ":" in name]
    assert elements == [
        *("switches:0", "switches:1"),
        *("regime_common:0", "regime_common:1", "regime_common:2"),
        *("regime_strength:0", "regime_strength:1", "regime_strength:2"),
    ]
    assert [name for name in fittable(PROFILE) if ":" in name] == ["regime_common:0", "regime_strength:0"]
    assert value_of(SWITCHING, "switches:1") == 200 and value_of(SWITCHING, "layer_sigma") == 0.5


def test_a_fit_that_was_ended_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, start = target_of(PROFILE), PROFILE.with_parameters(layer_sigma=0.4)
    search = Search(["layer_sigma"], [1, 2], 2, 2, tmp_path)
    whole, heard = fitted(start, target, search)
    generate = errors.generate

    def never(*arguments: object, **named: object) -> np.ndarray:
        raise AssertionError("generated again")

    monkeypatch.setattr(errors, "generate", never)
    again, shown = fitted(start, target, search)
    assert (again.profile, again.cost) == (whole.profile, whole.cost)
    assert [step.cost for step in shown] == [step.cost for step in heard]
    # Ended in the middle of a measurement, a fit has the others.
    asked: list[object] = []
    monkeypatch.setattr(errors, "generate", lambda *a, **named: asked.append(a) or generate(*a, **named))
    sorted(tmp_path.iterdir())[0].unlink()
    assert fitted(start, target, search)[0].profile == whole.profile and len(asked) == 1
