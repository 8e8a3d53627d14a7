"""Calibration: errors by group, and measurements that are kept."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calibration_cases import CELLS, CURVE, POLICIES, PROFILE, STATIC_CURVE, TARGET, off_by, target_of
from traces.calibration import errors
from traces.calibration.errors import Generated, Measurement, Target, measure, rms
from traces.calibration.published import Cell, Curve, Policy, Published
from traces.calibration.sweep import Measured

# errors by group


def test_errors_are_logarithms_of_generated_over_published_by_group() -> None:
    measured = Measurement(off_by(2.0, 1.0, 0.5, 4.0), [np.array([2.5, 1.5]), np.array([1.0, 3.0])])
    found = measured.errors(TARGET)
    expected = {
        "DS-EPLB and static": [0, np.log(0.5)],
        "without latency": [np.log(2)],
        "once": [np.log(4)],
        CURVE: [np.log(2), 0],
        STATIC_CURVE: [0, 0],
    }
    assert list(found) == list(expected)
    for group, values in expected.items():
        assert found[group] == pytest.approx(values, abs=1e-12), group


def test_a_static_curve_is_compared_after_division_by_its_mean() -> None:
    level, other = ([np.array([1.25, 1.5]), np.array(par)] for par in ([2.0, 6.0], [2.0, 2.0]))
    assert Measurement(off_by(1, 1, 1, 1), level).errors(TARGET)[STATIC_CURVE] == pytest.approx([0, 0], abs=1e-12)
    assert Measurement(off_by(1, 1, 1, 1), other).errors(TARGET)[STATIC_CURVE] == pytest.approx(
        [np.log(2), np.log(2 / 3)]
    )


def test_where_no_figure_has_latency_those_without_are_no_group_of_their_own() -> None:
    target = Target(Published([CELLS[0], CELLS[2]], []))
    assert target.groups() == {"DS-EPLB and static": 1.0}


def test_groups_have_weights_and_what_is_aside_has_none() -> None:
    assert TARGET.groups() == {
        "DS-EPLB and static": 1.0,
        "without latency": 0.35,
        "once": 1.0,
        CURVE: 0.06,
        STATIC_CURVE: 0.06,
    }
    aside = replace(TARGET, aside=("once:32", "ds_eplb:32"))
    assert list(aside.groups().items())[:4] == [
        ("DS-EPLB and static", 1.0),
        ("DS-EPLB and static, ep 32, aside", 0.0),
        ("once, ep 32, aside", 0.0),
        ("without latency, ep 32, aside", 0.0),
    ]
    assert aside.group(Cell(Policy("once", 64, 1024), 1.5, 1)) == "once"


def test_the_size_of_errors_is_their_root_mean_square_in_per_cent() -> None:
    assert rms([0.03, -0.04]) == pytest.approx(100 * np.sqrt(0.00125))


# measuring


def test_a_profile_has_no_errors_against_its_own_trace() -> None:
    target = target_of(PROFILE, seed=5, curves=(POLICIES[0], POLICIES[-1]))
    same = measure(Generated(PROFILE, 5), target).errors(target)
    assert {group: np.abs(values).max() for group, values in same.items()} == dict.fromkeys(target.groups(), 0.0)
    other = measure(Generated(PROFILE, 6), target).errors(target)
    assert all(np.abs(values).max() > 0 for values in other.values())


def test_a_sample_of_the_layers_stands_for_all() -> None:
    many = replace(PROFILE, layers=40)
    target = target_of(many)
    for values in measure(Generated(many, 2, layers=10), target).errors(target).values():
        assert 0 < np.abs(values).max() < 0.1


def test_timing_is_the_profiles_or_drawn() -> None:
    target = target_of(PROFILE)
    fitted, drawn = (measure(Generated(PROFILE, 1, fitted=fitted), target) for fitted in (True, False))
    assert fitted.errors(target)["once"].tolist() == [0, 0] and np.abs(drawn.errors(target)["once"]).max() > 0
    still = PROFILE.with_parameters(period_range=0.0, phase_range=0.0, switch_range=0.0)
    assert measure(Generated(still, 1, fitted=False), target).cells == fitted.cells


# what is kept

KEPT_TARGET = Target(Published([Cell(POLICIES[0], 1.5, 1)], [Curve(POLICIES[-1], (5.0, 55.0), (1.5, 1.5))]))


class Counting:
    """`generate`, and how often it was called."""

    def __init__(self) -> None:
        self.calls, self._generate = 0, errors.generate

    def __call__(self, *arguments: object, **named: object) -> np.ndarray:
        self.calls += 1
        return self._generate(*arguments, **named)


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Counting:
    counting = Counting()
    monkeypatch.setattr(errors, "generate", counting)
    return counting


def measured(trace: Generated, target: Target = KEPT_TARGET) -> tuple[list[Measured], list[list[float]]]:
    found = measure(trace, target)
    return found.cells, [curve.tolist() for curve in found.curves]


def test_a_kept_measurement_is_found_again(tmp_path: Path, counting: Counting) -> None:
    trace = Generated(PROFILE, 1, folder=tmp_path / "kept")
    first = measured(trace)
    assert measured(trace) == first and counting.calls == 1
    assert measured(replace(trace, folder=None)) == first and counting.calls == 2
    # What was published of a policy changes nothing of what is measured, nor how many layers "all" are.
    published = Published([KEPT_TARGET.published.cells[0]._replace(mean_par=9.0)], KEPT_TARGET.published.curves)
    assert measured(trace, Target(published)) == measured(replace(trace, layers=4)) == first and counting.calls == 2


@pytest.mark.parametrize(
    "other",
    [
        Generated(PROFILE, 2),
        Generated(PROFILE, 1, layers=2),
        Generated(PROFILE, 1, fitted=False),
        Generated(PROFILE.with_parameters(own_drift=0.031), 1),
        Generated(replace(PROFILE, iterations=290), 1),
    ],
    ids=["seed", "layers", "timing", "parameter", "shape"],
)
def test_another_trace_is_measured_anew(tmp_path: Path, counting: Counting, other: Generated) -> None:
    first = measured(Generated(PROFILE, 1, folder=tmp_path))
    assert measured(replace(other, folder=tmp_path)) != first and counting.calls == 2


def test_other_figures_are_measured_anew(tmp_path: Path, counting: Counting) -> None:
    trace, published = Generated(PROFILE, 1, folder=tmp_path), KEPT_TARGET.published
    measured(trace)
    cells = [published.cells[0]._replace(policy=POLICIES[1])]
    curves = [published.curves[0]._replace(iterations=(5.0, 65.0))]
    for changed in (published._replace(cells=cells), published._replace(curves=curves)):
        assert measured(trace, Target(changed)) == measured(replace(trace, folder=None), Target(changed))
    assert counting.calls == 5


def test_other_sources_measure_anew(tmp_path: Path, counting: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    room, trace = tmp_path / "traces" / "calibration", Generated(PROFILE, 1, folder=tmp_path / "kept")
    for name in ("calibration", "generation"):
        shutil.copytree(errors.ROOM.parent / name, room.parent / name)
    monkeypatch.setattr(errors, "ROOM", room)
    measured(trace)
    for number, source in enumerate([room / "sweep.py", room.parent / "generation" / "counts.py"]):
        source.write_bytes(source.read_bytes() + b"\n# changed\n")
        measured(trace)
        measured(trace)
        assert counting.calls == 2 + number
    monkeypatch.setattr(errors, "simulator_sha256", lambda *package: "another simulator")
    measured(trace)
    assert counting.calls == 4


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:-9],
        lambda content: b"\xff\xfe",
        lambda content: b"[]",
        lambda content: b"{}",
        lambda content: b'{"cells": [1], "curves": []}',
        lambda content: b'{"cells": [["a", 1]], "curves": []}',
    ],
)
def test_a_damaged_file_is_measured_again(tmp_path: Path, counting: Counting, damage: Callable[[bytes], bytes]) -> None:
    trace = Generated(PROFILE, 1, folder=tmp_path)
    first = measured(trace)
    (kept,) = tmp_path.iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(damage(whole))
    assert measured(trace) == first and counting.calls == 2
    assert list(tmp_path.iterdir()) == [kept] and kept.read_bytes() == whole
