"""Calibration: published figures, errors of cells, the fit, and its command."""

from __future__ import annotations

from concurrent.futures import Executor, Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kit
from commands.calibrate import DEFAULT_FIT
from placement.errors import OrganizerError
from traces.calibration.cells import Comparison, average, cell_table, measure_cells, summary
from traces.calibration.fit import Search, Step, fit, fittable, log_errors
from traces.calibration.published import Cell, read_published
from traces.calibration.sweep import Measured
from traces.generation.profile import LEAST_AND_MOST, LIMITS, Parameters, Profile, read_profile, write_profile

COLUMNS = "model,dataset,ep,policy,collection_window,latency_iterations,mean_par,transmit_amount"
PARAMETERS = Parameters(
    layer_sigma=0.5,
    layer_sigma_spread=0.1,
    topics=3,
    topic_strength=0.1,
    topic_period=150.0,
    own_drift=0.03,
    tokens_per_iteration=400.0,
    top_k=2,
)
PROFILE = Profile("M", "d", 4, 16, 300, "drawn by hand", PARAMETERS)
WINDOWS = [Cell(ep, window, 0, 1.0, 1) for ep in (2, 4, 8) for window in (0, 40, 100)]


class Here(Executor):
    """Carries a job out when it is submitted, in this process."""

    def submit(self, call: Any, /, *arguments: Any, **named: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(call(*arguments, **named))
        return future


def published_by(profile: Profile, seed: int = 1) -> list[Cell]:
    """Cells that state what a profile's own trace measures."""
    measured = measure_cells(profile, WINDOWS, seed)
    return [
        cell._replace(mean_par=one.mean_par, transmit_amount=int(one.transmit_amount))
        for cell, one in zip(WINDOWS, measured, strict=True)
    ]


UNREADABLE = "the published figures cannot be read"


def table(folder: Path, *rows: str, columns: str = COLUMNS) -> Path:
    path = folder / "published.csv"
    path.write_text("\n".join([columns, *rows]) + "\n", encoding="utf-8")
    return path


def refusal(path: Path, model: str = "M", dataset: str = "d") -> str:
    columns = COLUMNS.replace(",", ", ")
    with pytest.raises(OrganizerError, match=rf"Expected: a CSV file with the columns {columns}\. ") as refused:
        read_published(path, model, dataset)
    assert refused.value.where == [str(path)]
    return f"{refused.value.what}: {refused.value.got}"


def test_published_figures_are_read_in_order_for_one_trace(tmp_path: Path) -> None:
    path = table(
        tmp_path,
        "M,d,64,ds_eplb,512,none,1.25,900",
        "M,d,32,static,,none,1.75,0",
        "M,d,32,ds_eplb,1024,none,1.5,700",
        "M,d,32,ds_eplb,256,none,1.4,800",
        "M,d,32,clairvoyant,256,none,1.1,9",
        "M,other,32,static,,none,2.75,0",
        "N,d,32,static,,none,2.75,0",
    )
    assert read_published(path, "M", "d") == [
        Cell(32, 0, 0, 1.75, 0),
        Cell(32, 256, 0, 1.4, 800),
        Cell(32, 1024, 0, 1.5, 700),
        Cell(64, 512, 0, 1.25, 900),
    ]


def test_figures_with_measured_latency_are_chosen_and_static_stays(tmp_path: Path) -> None:
    path = table(
        tmp_path,
        "M,d,32,static,,none,1.75,0",
        "M,d,32,ds_eplb,256,measured,1.45,810",
        "M,d,32,ds_eplb,256,none,1.4,800",
        "M,d,64,ds_eplb,256,measured,1.6,820",
        "M,d,128,ds_eplb,256,measured,1.7,830",
        "M,d,256,ds_eplb,256,measured,1.8,840",
    )
    assert read_published(path, "M", "d") == [
        Cell(32, 0, 0, 1.75, 0),
        Cell(32, 256, 7, 1.45, 810),
        Cell(64, 256, 12, 1.6, 820),
        Cell(128, 256, 25, 1.7, 830),
        Cell(256, 256, 45, 1.8, 840),
    ]


def test_the_static_deployment_has_no_latency(tmp_path: Path) -> None:
    path = table(tmp_path, "M,d,32,static,,measured,1.75,0", "M,d,32,ds_eplb,256,none,1.4,800")
    assert read_published(path, "M", "d") == [Cell(32, 0, 0, 1.75, 0), Cell(32, 256, 0, 1.4, 800)]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("M,d,x,static,,none,1.75,0", "invalid literal for int() with base 10: 'x'"),
        ("M,d,32,static,,none,many,0", "could not convert string to float: 'many'"),
        ("M,d,32,ds_eplb,1.5,none,1.75,0", "invalid literal for int() with base 10: '1.5'"),
        (
            "M,d,16,ds_eplb,256,measured,1.75,0",
            "ep 16 has no known measured latency, only 32, 64, 128, 256 have",
        ),
    ],
)
def test_a_wrong_figure_is_named_with_its_file(tmp_path: Path, row: str, words: str) -> None:
    assert refusal(table(tmp_path, "M,d,32,static,,none,1.75,0", row)) == f"{UNREADABLE}: {words}"


def test_a_row_that_ends_early_is_refused(tmp_path: Path) -> None:
    assert refusal(table(tmp_path, "M,d,32,static")).startswith(f"{UNREADABLE}: ")


@pytest.mark.parametrize("missing", COLUMNS.split(","))
def test_a_missing_column_is_named(tmp_path: Path, missing: str) -> None:
    path = table(tmp_path, "M,d,32,ds_eplb,256,none,1.75,0", columns=COLUMNS.replace(missing, "x"))
    assert refusal(path) == f"{UNREADABLE}: no column '{missing}'"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "none.csv"
    assert refusal(path) == f"{UNREADABLE}: [Errno 2] No such file or directory: '{path}'"


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "binary.csv"
    path.write_bytes(b"\xff\xfe\x00\x01")
    assert refusal(path).startswith(f"{UNREADABLE}: 'utf-8' codec can't decode")


def test_a_trace_without_figures_is_named(tmp_path: Path) -> None:
    path = table(tmp_path, "M,d,32,static,,none,1.75,0", "M,e,32,clairvoyant,256,none,1.1,9")
    for dataset in ("f", "e"):
        assert refusal(path, "M", dataset) == f"the trace has no published figures: none of M/{dataset}"


def test_errors_are_relative_and_averaged_over_seeds() -> None:
    cells = [Cell(32, 0, 0, 2.0, 0), Cell(32, 256, 7, 1.25, 1000)]
    nan = float("nan")
    first = [Measured(2.0, 0.0, nan), Measured(1.5, 800.0, 1.4)]
    second = [Measured(2.4, 0.0, nan), Measured(1.5, 1000.0, 1.2)]
    static, moved = average(cells, [first, second])
    assert static.cell == cells[0] and static.measured.mean_par == pytest.approx(2.2)
    assert moved.cell == cells[1] and moved.measured == pytest.approx((1.5, 900.0, 1.3))
    assert (static.par_error, static.transmit_error) == pytest.approx((0.1, 0.0))
    assert (moved.par_error, moved.transmit_error) == pytest.approx((0.2, -0.1))
    assert summary([static, moved]) == pytest.approx(
        {"par_rms": np.sqrt((0.01 + 0.04) / 2), "par_largest": 0.2, "transmit_largest": 0.1}
    )


def test_the_table_states_both_figures_and_errors_of_every_cell() -> None:
    comparisons = [
        Comparison(Cell(32, 0, 0, 1.6, 0), Measured(1.648, 0.0, float("nan"))),
        Comparison(Cell(32, 256, 7, 1.25, 1000), Measured(1.2, 1101.4, 1.1796)),
    ]
    assert cell_table(comparisons).splitlines()[2:] == [
        "| 32 | static | 1.6000 | 1.6480 | +3.0 |  | 0 | 0 |  |",
        "| 32 | 256 | 1.2500 | 1.2000 | -4.0 | 1.180 | 1000 | 1101 | +10.1 |",
    ]
    head = cell_table(comparisons).splitlines()[:2]
    assert [line.count("|") for line in head] == [10, 10]
    assert all(line.count("|") == 10 for line in cell_table(comparisons).splitlines())


def test_a_profile_has_no_errors_against_its_own_trace() -> None:
    cells = published_by(PROFILE, seed=5)
    assert np.array_equal(log_errors(PROFILE, cells, 5, PROFILE.layers), np.zeros(len(cells)))
    assert abs(log_errors(PROFILE, cells, 6, PROFILE.layers)).max() > 0
    own = average(cells, [measure_cells(PROFILE, cells, 5)])
    assert summary(own) == {"par_rms": 0.0, "par_largest": 0.0, "transmit_largest": 0.0}


def test_errors_are_logarithms_of_generated_over_published() -> None:
    cells = [cell._replace(mean_par=cell.mean_par * np.exp(0.1)) for cell in published_by(PROFILE)]
    np.testing.assert_allclose(log_errors(PROFILE, cells, 1, PROFILE.layers), -0.1, atol=1e-12)


def test_a_sample_of_the_layers_stands_for_all() -> None:
    many = replace(PROFILE, layers=40)
    errors = log_errors(many, published_by(many), seed=2, layers=10)
    assert errors.shape == (len(WINDOWS),) and abs(errors).max() < 0.1


@pytest.mark.parametrize(
    ("name", "start"), [("layer_sigma", 0.3), ("layer_sigma", 0.7), ("popularity_skew", -0.2), ("topic_strength", 0.2)]
)
def test_a_fit_moves_a_parameter_back(name: str, start: float) -> None:
    # With fewer layers a skew has other optima.
    known, heard = replace(PROFILE, layers=16), []
    cells = published_by(known)
    best = fit(known.with_parameters(**{name: start}), cells, Search([name], [1], 16, 4), Here(), heard.append)
    value, expected = getattr(best.profile.parameters, name), getattr(known.parameters, name)
    assert abs(value - expected) < 0.3 * abs(start - expected)
    assert best.rms < 0.3 * heard[0].rms
    assert best.profile == known.with_parameters(**{name: value})


def test_a_fit_tells_of_every_step_and_returns_the_best() -> None:
    cells, heard = published_by(PROFILE), []
    start = PROFILE.with_parameters(layer_sigma=0.3, own_drift=0.1)
    best = fit(start, cells, Search(["layer_sigma", "own_drift"], [1, 2], 4, 2), Here(), heard.append)
    assert len(heard) == 3 and heard[0].profile == start
    assert best is min(heard, key=lambda step: step.rms)
    errors = [log_errors(start, cells, seed, 4) for seed in (1, 2)]
    np.testing.assert_allclose(heard[0].errors, np.mean(errors, axis=0))


def test_the_size_of_errors_is_their_root_mean_square() -> None:
    assert Step(PROFILE, np.array([0.3, -0.4])).rms == pytest.approx(np.sqrt(0.125))


def test_a_parameter_that_nothing_depends_on_stays() -> None:
    start = PROFILE.with_parameters(own_drift=0.0)
    cells = published_by(start.with_parameters(layer_sigma=0.4))
    best = fit(start, cells, Search(["layer_sigma", "own_memory"], [1], 4, 1), Here(), lambda step: None)
    assert best.profile.parameters.own_memory == start.parameters.own_memory
    assert best.profile.parameters.layer_sigma < 0.5


def test_a_fit_stays_inside_what_the_model_allows() -> None:
    names = [name for name in fittable() if name != "tokens_per_iteration"]
    edges = {name: float(LIMITS.get(name, LEAST_AND_MOST)[0]) for name in names} | {"topic_period_spread": 0.999}
    start = PROFILE.with_parameters(**edges)
    # Figures that nothing of this model has pull as far as a step reaches.
    for par in (1.0, 9.0):
        cells = [cell._replace(mean_par=par) for cell in WINDOWS[:3]]
        heard: list[Step] = []
        fit(start, cells, Search(names, [1], 2, 2), Here(), heard.append)
        assert len(heard) == 3


def test_every_real_number_can_be_fitted() -> None:
    assert "layer_sigma" in fittable() and "token_spread" in fittable()
    assert set(DEFAULT_FIT.split(",")) <= set(fittable())
    assert not {"topics", "neighbours", "top_k", "switches", "regime_common", "phase_range"} & set(fittable())


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Arguments: PROFILE's file and figures that a trace of another layer_sigma measures."""
    write_profile(tmp_path / "profile.yaml", PROFILE)
    rows = [
        f"M,d,{cell.ep},{'ds_eplb' if cell.window else 'static'},{cell.window or ''},none,"
        f"{cell.mean_par!r},{cell.transmit_amount}"
        for cell in published_by(PROFILE.with_parameters(layer_sigma=0.4))
    ]
    return ["--profile", str(tmp_path / "profile.yaml"), "--published", str(table(tmp_path, *rows)), "--jobs", "1"]


def calibrate(*arguments: object) -> int:
    return kit.main(["calibrate", *map(str, arguments)])


def error(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.removeprefix("kit.py calibrate: error: ").removesuffix("\n")


def test_without_steps_the_command_only_measures(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--steps", 0, "--seeds", "1,2"]
    assert calibrate(*files, *options, "--table", tmp_path / "cells.md", "--output", tmp_path / "new.yaml") == 0
    cells = read_published(tmp_path / "published.csv", "M", "d")
    comparisons = average(cells, [measure_cells(PROFILE, cells, seed) for seed in (1, 2)])
    found = summary(comparisons)
    head = (
        f"M/d, seeds 1, 2: PAR root mean square error {100 * found['par_rms']:.2f} %, "
        f"largest {100 * found['par_largest']:.2f} %; transmit largest {100 * found['transmit_largest']:.2f} %"
    )
    assert capsys.readouterr().out == f"\n{cell_table(comparisons)}\n\n{head}\n"
    assert (tmp_path / "cells.md").read_text(encoding="utf-8") == f"{head}\n\n{cell_table(comparisons)}\n"
    assert found["par_rms"] > 0 and not (tmp_path / "new.yaml").exists()


def test_the_command_writes_the_fitted_profile_and_measures_it(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--fit", "layer_sigma", "--steps", 2, "--fit-seeds", 1, "--fit-layers", 4, "--seeds", 1]
    assert calibrate(*files, *options, "--output", tmp_path / "new.yaml") == 0
    fitted = read_profile(tmp_path / "new.yaml")
    assert fitted.parameters.layer_sigma == pytest.approx(0.4, rel=0.05)
    assert fitted == PROFILE.with_parameters(layer_sigma=fitted.parameters.layer_sigma)
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if line.startswith("rms ")]) == 3 and lines[0].endswith(": layer_sigma 0.5")
    cells = read_published(tmp_path / "published.csv", "M", "d")
    assert cell_table(average(cells, [measure_cells(fitted, cells, 1)])) in "\n".join(lines)


def test_names_that_cannot_be_fitted_are_refused(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert calibrate(*files, "--fit-layers", 4, "--fit", "topics,layer_sigma,sigma") == 2
    assert error(capsys) == (
        f"--fit names what cannot be fitted. Got: sigma, topics. Expected: some of {', '.join(fittable())}. "
        "Next: correct --fit."
    )


@pytest.mark.parametrize("names", ["", ","])
def test_a_fit_of_nothing_is_refused(files: list[str], capsys: pytest.CaptureFixture[str], names: str) -> None:
    assert calibrate(*files, "--fit-layers", 4, "--fit", names) == 2
    assert error(capsys) == (
        "--fit names no parameter. Got: none. Expected: at least one. Next: name one, or measure with --steps 0."
    )


@pytest.mark.parametrize("layers", [0, 5])
def test_more_layers_than_the_model_has_are_refused(
    files: list[str], capsys: pytest.CaptureFixture[str], layers: int
) -> None:
    assert calibrate(*files, "--fit-layers", layers) == 2
    assert error(capsys) == (
        f"--fit-layers is out of range. Got: {layers}. Expected: 1 .. 4, the layers of M/d. Next: correct --fit-layers."
    )


@pytest.mark.parametrize("ep", [0, 3, 32])
def test_devices_that_do_not_divide_the_experts_are_refused(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], ep: int
) -> None:
    path = table(tmp_path, f"M,d,{ep},static,,none,1.75,0")
    assert calibrate(*files, "--fit-layers", 4) == 2
    assert error(capsys) == (
        f"{path}: an ep does not divide the experts. Got: ep {ep}. Expected: a divisor of 16. Next: correct the file."
    )


def test_missing_files_are_refused(files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("published.csv", "profile.yaml"):
        (tmp_path / name).unlink()
        assert calibrate(*files) == 2
        assert f"Got: [Errno 2] No such file or directory: '{tmp_path / name}'. " in error(capsys)


@pytest.mark.parametrize("seeds", ["", "1,", "a", "1,-2", "1.5"])
def test_seeds_are_a_list_of_integers(files: list[str], capsys: pytest.CaptureFixture[str], seeds: str) -> None:
    for option in ("--seeds", "--fit-seeds"):
        with pytest.raises(SystemExit) as stop:
            calibrate(*files, f"{option}={seeds}")
        assert stop.value.code == 2
        assert f"argument {option}: {seeds!r} is not a list of seeds, such as 1,2,3" in capsys.readouterr().err
