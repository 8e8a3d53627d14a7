"""`kit.py calibrate`: what it refuses, before anything is measured."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from calibration_cases import MEASURE, PROFILE, calibrate, table, with_all, write_files
from traces.calibration.fit import fittable
from traces.calibration.published import CELL_COLUMNS, CURVE_COLUMNS, ONCE_COLUMNS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_files(tmp_path)
    return tmp_path


def error(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.removeprefix("kit.py calibrate: error: ").removesuffix("\n")


def test_a_trace_without_figures_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    published, once = table(folder / "published.csv"), table(folder / "once.csv", columns=ONCE_COLUMNS)
    text = (
        ": the trace has no published figures. Got: none of M/d. Expected: rows of the profile's model and dataset. "
        "Next: name other files, or another profile."
    )
    assert calibrate(folder, "--curves", folder / "curves.csv") == 2
    assert error(capsys) == f"{published}{text}"
    assert calibrate(folder, "--once", once) == 2
    assert error(capsys) == f"{published}, {once}{text}"


def test_what_is_aside_must_be_a_cell(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert calibrate(folder, *with_all(folder), "--aside", "once:2", "once:32", "always") == 2
    assert error(capsys) == (
        "--aside names no published cell. Got: always, once:32. "
        "Expected: some of ds_eplb:2, ds_eplb:8, static:2, static:8, once:2, once:8. Next: correct --aside."
    )


def test_a_picture_needs_curves(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table(folder / "none.csv", "M,e,2,static,5,1.5", columns=CURVE_COLUMNS)
    for curves in ([], ["--curves", folder / "none.csv"]):
        assert calibrate(folder, *MEASURE, "--image", folder / "curves.png", *curves) == 2
        assert error(capsys) == (
            "--image needs curves. Got: none. Expected: --curves with curves of M/d. "
            "Next: name a file of curves with --curves, or leave --image out."
        )


def test_without_matplotlib_the_extra_is_named_before_anything_is_measured(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # None makes the import system raise ImportError.
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert calibrate(folder, *with_all(folder), *MEASURE, "--image", folder / "curves.png") == 2
    assert error(capsys) == (
        "--image needs matplotlib. Got: matplotlib is not installed. Expected: the extra `plots`. "
        "Next: .venv/bin/python -m pip install '.[plots]', or leave --image out."
    )
    assert not (folder / "kept").exists()


@pytest.mark.parametrize("iteration", [4.5, 295.5])
def test_points_outside_of_the_trace_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], iteration: float
) -> None:
    path = table(folder / "curves.csv", f"M,d,2,static,{iteration},1.5", columns=CURVE_COLUMNS)
    assert calibrate(folder, "--curves", path) == 2
    assert error(capsys) == (
        f"{path}: a point of a curve lies outside of the trace. Got: iteration {iteration}. "
        "Expected: the middle of 10 of 300 iterations. Next: correct the file."
    )


def test_the_first_and_the_last_point_of_a_trace_are_measured(folder: Path) -> None:
    rows = [f"M,d,2,static,{iteration},1.5" for iteration in (5, 295)]
    path = table(folder / "curves.csv", *rows, columns=CURVE_COLUMNS)
    assert calibrate(folder, "--curves", path, *MEASURE) == 0


def test_names_that_cannot_be_fitted_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = "topics,layer_sigma,sigma,regime_common:1,switches:0,period_range,regime_strength"
    assert calibrate(folder, "--fit-layers", 4, "--fit", names) == 2
    assert error(capsys) == (
        "--fit names a parameter that cannot be fitted. "
        "Got: period_range, regime_common:1, regime_strength, sigma, switches:0, topics. "
        f"Expected: some of {', '.join(fittable(PROFILE))}. Next: correct --fit."
    )


@pytest.mark.parametrize("names", ["", ","])
def test_a_fit_of_nothing_is_refused(folder: Path, capsys: pytest.CaptureFixture[str], names: str) -> None:
    assert calibrate(folder, "--fit-layers", 4, "--fit", names) == 2
    assert error(capsys) == (
        "--fit names no parameter. Got: none. Expected: at least one. Next: name a parameter, or measure with --steps "
        "0."
    )


@pytest.mark.parametrize("layers", [0, 5])
def test_more_layers_than_the_model_has_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], layers: int
) -> None:
    assert calibrate(folder, "--fit-layers", layers) == 2
    assert error(capsys) == (
        f"--fit-layers is out of range. Got: {layers}. Expected: 1 .. 4, the layers of M/d. Next: correct --fit-layers."
    )


@pytest.mark.parametrize("ep", [0, 3, 32])
@pytest.mark.parametrize(
    ("file", "row", "columns", "name"),
    [
        ("published", "M,d,{},static,,none,1.75,0", CELL_COLUMNS, "static"),
        ("once", "M,d,{},100,1.75,10", ONCE_COLUMNS, "once"),
        ("curves", "M,d,{},kept_from_first_100,195,1.5", CURVE_COLUMNS, "once"),
    ],
)
def test_devices_that_do_not_divide_the_experts_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], file: str, row: str, columns: tuple[str, ...], name: str, ep: int
) -> None:
    path = table(folder / f"{file}.csv", row.format(ep), columns=columns)
    assert calibrate(folder, *with_all(folder), "--fit-layers", 4) == 2
    assert error(capsys) == (
        f"{path}: an ep does not divide the experts. Got: ep {ep} of {name}. Expected: a divisor of 16. "
        "Next: correct the file."
    )


@pytest.mark.parametrize("name", ["profile.yaml", "published.csv", "once.csv", "curves.csv"])
def test_missing_files_are_refused(folder: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    (folder / name).unlink()
    assert calibrate(folder, *with_all(folder)) == 2
    assert f"Got: [Errno 2] No such file or directory: '{folder / name}'. " in error(capsys)


@pytest.mark.parametrize("seeds", ["", "1,", "a", "1,-2", "1.5", "1,2,1"])
def test_seeds_are_a_list_of_different_integers(folder: Path, capsys: pytest.CaptureFixture[str], seeds: str) -> None:
    for option in ("--seeds", "--fit-seeds"):
        with pytest.raises(SystemExit) as stop:
            calibrate(folder, f"{option}={seeds}")
        assert stop.value.code == 2
        text = f"argument {option}: {seeds!r} is not a list of different seeds, such as 1,2,3"
        assert text in capsys.readouterr().err
