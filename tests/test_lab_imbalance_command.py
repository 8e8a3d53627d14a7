"""`python -m lab imbalance`: its tables, files and refusals."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lab.commands.imbalance import add_imbalance
from lab.imbalance.presets import MODELS
from lab.imbalance.sweep import closed_form
from lab.planning.plan_file import PlanFile, save_plan
from lab_cases import expected_load
from placement.errors import Problem

V3 = MODELS["deepseek-v3"]
drawing = pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="needs matplotlib, the extra lab")


def run(*arguments: object) -> int:
    """The command's exit code, as lab/__main__.py calls it."""
    parser = argparse.ArgumentParser()
    add_imbalance(parser.add_subparsers(dest="command", required=True))
    options = parser.parse_args(["imbalance", *map(str, arguments)])
    return options.run(options)


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Hotness of V3's experts, two layers, three of them hot and apart from each other."""
    load = expected_load(V3.imbalance(8, 16, 3), 512)
    rng = np.random.default_rng(0)
    hotness = rng.poisson(np.stack([rng.permutation(load), rng.permutation(load)]), (6, 2, 256)).astype(np.int32)
    np.save(tmp_path / "trace.npy", hotness)
    return tmp_path / "trace.npy"


def test_the_table_shows_ep_by_factor_beside_even_load_and_the_worst(capsys):
    assert run("--model", "deepseek-v3", "--ep", 32, "--factor", 2) == 0
    shown = capsys.readouterr().out
    assert "not score" in shown
    rows = [line.split() for line in shown.splitlines() if line.strip()[:1].isdigit()]
    assert [row[:2] for row in rows[:3]] == [["1", "1.0000"], ["1", "2.0000"], ["1", "32.0000"]]
    assert {row[0] for row in rows} == {"1", "2", "4", "8", "16", "32"} and len(rows) == 18
    assert ["8", "32.0000", "1.8510"] in [row[:3] for row in rows]


def test_the_rows_are_those_of_the_model():
    frame = closed_form(V3, [8], 4, 4, 256, 1).set_index("factor")
    assert frame.index.tolist() == [1, 4, 32]
    assert frame["skew"][4.0] == pytest.approx(4 / 3)
    assert frame.added_ms[1.0] == 0 and frame.added_ms.is_monotonic_increasing
    np.testing.assert_allclose(frame.prefill_ms, frame.prefill_us * 58 / 1000)


def test_a_factor_may_be_a_fraction(tmp_path):
    assert run("--factor", "64/3", "--experts-hot", 2, "--ep", 4, "--output", tmp_path) == 0
    frame = pd.read_csv(tmp_path / "imbalance.csv")
    assert frame[frame.ep == 4]["skew"].round(4).tolist() == [1, 1.4803, 1.7323]


def test_a_trace_is_measured_beside_the_planner_and_the_ideal(trace, tmp_path, capsys):
    assert run("--ep", 16, "--trace", trace, "--output", tmp_path / "out") == 0
    assert "time to first token" in capsys.readouterr().out
    layers = pd.read_csv(tmp_path / "out" / "layers.csv")
    assert layers.placement.unique().tolist() == ["initial", "DS-EPLB", "ideal"]
    assert (layers.hot == 3).all() and (abs(layers.factor / 16 - 1) < 0.02).all()
    prefill = pd.read_csv(tmp_path / "out" / "prefill.csv").set_index(["ep", "placement"]).prefill_ms
    assert prefill[16, "ideal"] < prefill[16, "DS-EPLB"] < prefill[16, "initial"]


def test_a_plan_is_measured_at_its_devices_without_the_shared_expert(trace, tmp_path):
    table = np.full((2, 32, 9), 256)
    table[:, :, :8] = np.arange(256).reshape(32, 8)
    order = np.tile(np.arange(32 * 9).reshape(32, 9), (2, 1, 1))
    kept = {"shared": True, "rows": 8, "cols": 4, "routers": ("row-blocks",) * 2, "sources": ()}
    kept["load"] = np.ones((2, 256))
    save_plan(tmp_path / "plan.npz", PlanFile(table, order, (0, 1), 256, **kept))
    assert run("--ep", 2, "--trace", trace, "--plan", tmp_path / "plan.npz", "--output", tmp_path / "out") == 0
    layers = pd.read_csv(tmp_path / "out" / "layers.csv").set_index(["ep", "placement", "layer"]).par
    # A replica of a device's last expert on the same device changes no load.
    assert layers[32, "policy", 0] == pytest.approx(layers[32, "initial", 0])


def test_files_that_hold_no_hotness_are_refused(tmp_path):
    (tmp_path / "text.npy").write_text("no array")
    np.savez(tmp_path / "two.npz", a=np.ones(1), b=np.ones(1))
    np.save(tmp_path / "pickle.npy", np.array([{}]), allow_pickle=True)
    for name, words in (
        ("missing.npy", "input: there is no file .*missing"),
        ("text.npy", "text.npy: the file cannot be read"),
        ("two.npz", "two.npz: the file does not say which array is the hotness"),
        ("pickle.npy", "pickle.npy: the file holds pickled objects"),
    ):
        with pytest.raises(Problem, match=words):
            run("--trace", tmp_path / name)
    np.save(tmp_path / "small.npy", np.ones((2, 1, 12)))
    with pytest.raises(Problem, match=r"small\.npy: .* Got: the hotness is of 12 experts; expected the 256"):
        run("--trace", tmp_path / "small.npy")


def test_impossible_numbers_are_refused(tmp_path):
    for arguments, message in (
        (("--ep", 0), "--ep is too small. Got: 0."),
        (("--factor", 33), "imbalance_factor is 33"),
        (("--experts-hot", 9), "worst_case_experts is 9"),
        (("--tokens", 0), "tokens is 0"),
        (("--plan", tmp_path / "plan.npz"), "Expected: --plan with --trace."),
    ):
        with pytest.raises((Problem, ValueError), match=message):
            run(*arguments)


def test_a_factor_that_is_no_number_is_refused(capsys):
    for text in ("two", "1/0"):
        with pytest.raises(SystemExit):
            run("--factor", text)
        assert "--factor" in capsys.readouterr().err


def test_without_matplotlib_the_extra_is_named(monkeypatch, tmp_path, capsys):
    for name in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(
        Problem, match=r"it is not installed\. .* Next: in the top folder, .*pip install matplotlib -r req"
    ):
        run("--ep", 2, "--plot", tmp_path / "plot.png")
    assert "1.1216" in capsys.readouterr().out and not (tmp_path / "plot.png").exists()


@drawing
def test_skew_and_layer_time_are_drawn(trace, tmp_path):
    assert run("--ep", 16, "--trace", trace, "--plot", tmp_path / "plots" / "plot.png") == 0
    assert (tmp_path / "plots" / "plot.png").read_bytes().startswith(b"\x89PNG")
