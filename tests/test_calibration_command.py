"""`kit.py calibrate`: what it prints and writes."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest

from calibration_cases import MEASURE, PROFILE, calibrate, table, with_all, write_files
from traces.calibration.errors import Generated, Measurement, Target, measure
from traces.calibration.published import CURVE_COLUMNS, Published, read_curves, read_once, read_published
from traces.calibration.report import cell_table, group_table
from traces.generation.profile import read_profile


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_files(tmp_path)
    return tmp_path


def target_in(folder: Path, *aside: str) -> Target:
    cells = read_published(folder / "published.csv", "M/d") + read_once(folder / "once.csv", "M/d")
    return Target(Published(cells, read_curves(folder / "curves.csv", "M/d")), aside)


def tables(target: Target, measurements: list[Measurement], seeds: str, timing: str = "as fitted") -> str:
    head = f"M/d, seeds {seeds}, period, phase and switches {timing}"
    return f"{head}\n\n{group_table(target, measurements)}\n\n{cell_table(target, measurements)}\n"


def test_without_steps_the_command_only_measures(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--steps", 0, "--seeds", "1,2", "--table", folder / "new" / "cells.md", "--output", folder / "new.yaml"]
    assert calibrate(folder, *with_all(folder), *options) == 0
    target = target_in(folder)
    measurements = [measure(Generated(PROFILE, seed), target) for seed in (1, 2)]
    expected = tables(target, measurements, "1, 2")
    assert capsys.readouterr().out == f"seed 1: measured\nseed 2: measured\n\n{expected}"
    assert (folder / "new" / "cells.md").read_text(encoding="utf-8") == expected
    assert not (folder / "new.yaml").exists()
    assert [line.split(" |")[0] for line in expected.splitlines()[4:8]] == [
        *("| DS-EPLB and static", "| once", "| curve of once, ep 2, window 100", "| curve of static, ep 2"),
    ]


def test_points_that_are_left_out_are_counted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "curves.csv"
    assert calibrate(folder, *with_all(folder), *MEASURE) == 0
    without = capsys.readouterr().out
    rows = path.read_text(encoding="utf-8").splitlines()[1:]
    table(path, *rows, *(f"M,d,2,kept_from_first_100,{i},9" for i in (145, 155)), columns=CURVE_COLUMNS)
    assert calibrate(folder, *with_all(folder), *MEASURE) == 0
    line = f"{path}: 2 of {len(rows) + 2} points left out; the redeployment was not complete there\n"
    assert capsys.readouterr().out == line + without


def test_the_command_writes_the_fitted_profile_and_measures_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--fit", "layer_sigma", "--steps", 2, "--fit-seeds", 1, "--fit-layers", 4, "--seeds", 1]
    assert calibrate(folder, *with_all(folder), *options, "--output", folder / "new.yaml") == 0
    fitted, target = read_profile(folder / "new.yaml"), target_in(folder)
    assert fitted.parameters.layer_sigma == pytest.approx(0.4, rel=0.05)
    assert fitted.parameters == replace(PROFILE.parameters, layer_sigma=fitted.parameters.layer_sigma)
    files, begun = "published.csv, once.csv, curves.csv", folder / "profile.yaml"
    assert fitted.source == f"M/d: fitted by kit.py calibrate to {files}, starting from {begun}"
    shown, printed = capsys.readouterr().out.split("\n\n", 1)
    *steps, last = shown.splitlines()
    assert last == "seed 1: measured"
    assert [line.split(" ")[0] for line in steps[::2]] == ["cost"] * 3 and steps[0].endswith(": layer_sigma 0.5")
    assert steps[1].startswith("    error %: DS-EPLB and static ")
    assert [part.rsplit(" ", 1)[0] for part in steps[1].removeprefix("    error %: ").split("; ")] == [*target.groups()]
    assert printed == tables(target, [measure(Generated(fitted, 1), target)], "1")


def test_a_command_that_is_given_again_generates_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--fit", "layer_sigma", "--steps", 1, "--fit-seeds", 1, "--fit-layers", 2, "--seeds", 1]
    assert calibrate(folder, *options) == 0
    first, kept = capsys.readouterr().out, {path: path.stat().st_mtime_ns for path in (folder / "kept").iterdir()}
    # All layers and two before and after a step; the table's is the best of these.
    assert len(kept) == 4
    assert calibrate(folder, *options) == 0
    assert capsys.readouterr().out == first
    assert {path: path.stat().st_mtime_ns for path in (folder / "kept").iterdir()} == kept


def test_timing_is_drawn_from_the_seeds_on_demand(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert calibrate(folder, *with_all(folder), *MEASURE, "--drawn") == 0
    target = target_in(folder)
    drawn, held = ([measure(Generated(PROFILE, 1, fitted=fitted), target)] for fitted in (False, True))
    assert capsys.readouterr().out == "seed 1: measured\n\n" + tables(target, drawn, "1", "drawn from the seeds")
    assert group_table(target, drawn) != group_table(target, held)


def test_a_trace_may_have_figures_of_a_policy_that_deploys_once_alone(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table(folder / "published.csv", "M,e,2,static,,none,1.75,0")
    assert calibrate(folder, "--once", folder / "once.csv", *MEASURE) == 0
    assert [line.split(" |")[0] for line in capsys.readouterr().out.splitlines() if line.startswith("| ")] == [
        *("| figures", "| once", "| figure", "| once, ep 2, window 100", "| once, ep 8, window 100"),
    ]


def test_cells_that_are_aside_are_shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert calibrate(folder, *with_all(folder), *MEASURE, "--aside", "once:2", "static:8") == 0
    target = target_in(folder, "once:2", "static:8")
    printed = capsys.readouterr().out
    assert printed == "seed 1: measured\n\n" + tables(target, [measure(Generated(PROFILE, 1), target)], "1")
    assert "| once, ep 2, aside | 1 |" in printed and "| DS-EPLB and static, ep 8, aside | 1 |" in printed


@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="needs matplotlib, the extra plots")
def test_the_picture_of_the_curves_is_written(folder: Path) -> None:
    image = folder / "new" / "curves.png"
    assert calibrate(folder, *with_all(folder), *MEASURE, "--image", image) == 0
    assert image.read_bytes().startswith(b"\x89PNG")
