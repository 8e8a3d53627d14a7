"""`python -m lab`, as its user calls it."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from deployments.forms import read_placement
from lab.commands.main import main
from lab.experiments.export import filled
from lab.planning.plan_file import load_plan, save_plan
from lab.traces.trace_file import load_trace
from lab_cases import ANCHORS
from placement.errors import Problem
from submissions import ROOT


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generated trace of 32 experts in two layers."""
    path = tmp_path_factory.mktemp("lab") / "trace.npz"
    assert (
        run("generate", "zipf", *("--tokens", 600, "--experts", 32, "--top-k", 4, "--layers", 2, "--output", path)) == 0
    )
    return path


def test_a_plan_is_made_improved_measured_and_exported(
    trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan, better = tmp_path / "plan.npz", tmp_path / "better.npz"
    assert run("plan", trace, "--batch", 100, "--output", plan) == 0
    assert run("search", trace, plan, "--batch", 100, "--swaps", 200, "--output", better) == 0
    assert load_plan(better).table.shape == (2, 16, 3)
    capsys.readouterr()
    assert run("simulate", trace, better, "--batch", 100, "--output", tmp_path / "measures.csv") == 0
    printed = capsys.readouterr().out
    assert printed.startswith("In sample: the plan was made from this trace, or from a part of it.")
    assert "| layer | router | mean | p50 | p95 | p99 |" in printed and "| 1 | row-blocks |" in printed
    assert len(pd.read_csv(tmp_path / "measures.csv")) == 2
    other = tmp_path / "other"
    sizes = ("--tokens", 200, "--experts", 32, "--top-k", 4, "--layers", 2, "--seed", 9)
    assert run("generate", "zipf", *sizes, "--output", other) == 0
    capsys.readouterr()
    assert run("simulate", other, better, "--batch", 100) == 0
    assert capsys.readouterr().out.startswith(
        "The plan was made from other traces. The figures are held out, unless those traces hold requests of this "
        "trace.\n"
    )
    assert run("export-policy", better, "--output", tmp_path / "policy") == 0
    assert sorted(path.name for path in (tmp_path / "policy").iterdir()) == ["plan.npy", "policy.py"]
    capsys.readouterr()
    assert run("export-placement", better, "--to", "trtllm", "--output", tmp_path / "map.yaml") == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"export-placement: {tmp_path / 'map.yaml'}: 2 layers x 16 devices x 3 slots\n")
    assert printed.splitlines()[1] == "layers: the model's 0 to 1, 2 in all"
    rows = read_placement(tmp_path / "map.yaml")
    assert rows.layers == load_plan(better).layers
    assert (rows.slots.reshape(2, 16, 3) == filled(load_plan(better).table, load_plan(better).load)).all()
    numbers = ("--layers", "3,5")
    assert run("export-placement", better, "--to", "sglang", *numbers, "--output", tmp_path / "map.json") == 0
    assert (read_placement(tmp_path / "map.json").slots[[3, 5]] == rows.slots).all()
    capsys.readouterr()
    assert run("export-placement", better, "--to", "npy", "--output", tmp_path / "map.yaml") == 1
    assert capsys.readouterr().out.startswith("export-placement: the file's name has the wrong ending. Got: map.yaml.")


def test_commands_take_the_plans_own_router(trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = tmp_path / "plan.npz"
    assert run("plan", trace, "--router", "least-loaded", "--output", plan) == 0
    assert run("simulate", trace, plan) == 0
    own = capsys.readouterr().out
    assert "| 0 | least-loaded |" in own and "| 1 | least-loaded |" in own
    assert run("simulate", trace, plan, "--router", "round-robin") == 0
    assert "| 0 | round-robin |" in capsys.readouterr().out
    assert run("search", trace, plan, "--output", tmp_path / "better.npz") == 1
    assert capsys.readouterr().out.startswith(
        "search: search cannot follow the router. Got: least-loaded. Expected: one of first-copy, round-robin, "
        "first-fit, block-aligned, row-blocks, under which a replica keeps its tokens wherever it lies. Next: give "
        "--router."
    )
    assert run("export-policy", plan, "--output", tmp_path / "policy") == 0
    printed = capsys.readouterr().out
    assert (
        "The plan was made for the router least-loaded; the competition divides an expert's tokens evenly." in printed
    )
    assert re.search(r"this policy 1\.\d{4} over layers, .*; the initial deployment [2-9]\.\d{4} over layers", printed)


def test_a_threshold_and_an_age_reach_the_routers(
    trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = tmp_path / "plan.npz"
    run("plan", trace, "--batch", 100, "--output", plan)

    def rows(*words: object) -> list[str]:
        capsys.readouterr()
        assert run("simulate", trace, plan, "--batch", 100, *words) == 0
        return [line.split("|", 3)[3] for line in capsys.readouterr().out.splitlines() if line[:3] in ("| 0", "| 1")]

    same_row = "--router", "same-row-first", "--threshold"
    assert rows("--router", "round-robin") == rows(*same_row, 0) != rows(*same_row, "inf")
    assert rows("--router", "least-loaded") != rows("--router", "least-loaded", "--age", 1)
    assert run("simulate", trace, plan, "--threshold", -1) == 1
    assert capsys.readouterr().out == (
        "simulate: --threshold is too small. Got: -1. Expected: 0 or more, or inf. Next: correct --threshold.\n"
    )
    # The plan's own router goes by neither; of all routers, some do.
    assert run("simulate", trace, plan, "--age", 1) == 1
    assert capsys.readouterr().out == (
        "simulate: --age changes nothing. Got: router row-blocks. Expected: least-loaded. Next: leave --age out, or "
        "give --router.\n"
    )
    assert run("simulate", trace, plan, "--router", "all", "--age", 1, "--threshold", 2) == 0


def test_a_part_of_an_options_name_is_refused(trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (("oracle", trace, "--layers", 1), ("matrix", trace, "--layer", 1)):
        with pytest.raises(SystemExit):
            run(*words)
        assert f"unrecognized arguments: {words[2]} 1" in capsys.readouterr().err


def test_a_plan_without_known_routers_is_refused(trace: Path, tmp_path: Path) -> None:
    run("plan", trace, "--output", tmp_path / "plan.npz")
    save_plan(tmp_path / "other.npz", replace(load_plan(tmp_path / "plan.npz"), routers=("round-robin", "nearest")))
    expected = (
        "the plan has other routers. Got: round-robin, nearest. Expected: one of first-copy, .* of 2 layers. Next"
    )
    with pytest.raises(Problem, match=expected):
        load_plan(tmp_path / "other.npz")


@pytest.mark.parametrize(
    "words",
    [
        ("--method", "hierarchical", "--groups", 4, "--nodes", 2),
        ("--method", "affinity", "--shared"),
        ("--spread", "--hedge", "mean+0.5std"),
        ("--pack", "pairs", "--hedge", "p95", "--replicate", "blocks"),
    ],
    ids=["hierarchical", "affinity", "spread", "pairs"],
)
def test_a_trace_is_planned_in_every_way(trace: Path, tmp_path: Path, words: tuple) -> None:
    assert run("plan", trace, "--batch", 100, *words, "--output", tmp_path / "plan.npz") == 0
    table = load_plan(tmp_path / "plan.npz").table
    assert table.shape == (2, 16, 3) and all(set(range(32)) <= set(layer.ravel()) for layer in table)


def test_a_plan_for_several_data_sets_is_not_that_for_one(
    trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other, tables = tmp_path / "other.npz", []
    words = ("--tokens", 600, "--experts", 32, "--top-k", 4)
    run("generate", "clustered", *words, "--layers", 2, "--output", other)
    for more in ((), ("--robust", other)):
        assert run("plan", trace, "--batch", 100, *more, "--output", tmp_path / "plan.npz") == 0
        tables.append(load_plan(tmp_path / "plan.npz").table)
    assert not np.array_equal(*tables)
    run("generate", "clustered", *words, "--output", other)
    capsys.readouterr()
    assert run("plan", trace, "--robust", other, "--output", tmp_path / "plan.npz") == 1
    assert capsys.readouterr().out == (
        f"plan: {other}: the trace is of another model. Got: 32 experts and layers (0,). "
        f"Expected: 32 experts and layers (0, 1), as {trace} has. Next: name traces of one model after --robust.\n"
    )


def test_a_search_goes_by_its_words_and_keeps_its_limits(
    trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan, better = tmp_path / "plan.npz", tmp_path / "better.npz"
    run("plan", trace, "--batch", 100, "--output", plan)
    words = ("--steps", "local:50,anneal:50,tabu:3,lns:3", "--restarts", 2, "--objective", "p99", "--row-cap", 1.6)
    assert run("search", trace, plan, "--batch", 100, *words, "--moved-slots", 4, "--output", better) == 0
    assert all((load_plan(plan).table != load_plan(better).table).sum(axis=(1, 2)) <= 4)
    capsys.readouterr()
    assert run("search", trace, plan, "--batch", 100, "--row-cap", 1, "--output", better) == 1
    assert capsys.readouterr().out.startswith(
        f"search: {plan}, layer 0: the table is beyond a limit before the search. Got: row "
    )


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--hedge", "std"), "--hedge has the wrong form. Got: 'std'. Expected: mean, p95 or mean+ALPHAstd"),
        (("--hedge", "mean+xstd"), "--hedge has the wrong form. Got: 'mean+xstd'."),
        (("--hedge", "mean+-1std"), "--hedge has the wrong form. Got: 'mean+-1std'."),
        (("--hedge", "mean+infstd"), "--hedge has the wrong form. Got: 'mean+infstd'."),
    ],
)
def test_a_wrong_hedge_is_refused(
    trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple, text: str
) -> None:
    assert run("plan", trace, *words, "--output", tmp_path / "plan.npz") == 1
    assert capsys.readouterr().out.startswith(f"plan: {text}")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--swaps", 0), "--swaps is too small. Got: 0. Expected: at least 1."),
        (("--restarts", 0), "--restarts is too small. Got: 0. Expected: at least 1."),
        (("--moved-slots", -1), "--moved-slots is too small. Got: -1. Expected: at least 0."),
        (("--row-cap", "nan"), "--row-cap is too small. Got: nan. Expected: at least 1."),
        (("--steps", "climb:3"), "'climb:3' is no step; expected one as local:2000"),
    ],
)
def test_wrong_words_of_a_search_are_refused(
    trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple, text: str
) -> None:
    run("plan", trace, "--output", tmp_path / "plan.npz")
    capsys.readouterr()
    assert run("search", trace, tmp_path / "plan.npz", *words, "--output", tmp_path / "better.npz") == 1
    assert capsys.readouterr().out.startswith(f"search: {text}")


def test_the_matrix_writes_tables_with_settings_from_a_file(
    trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, config = tmp_path / "matrix", tmp_path / "matrix.yaml"
    config.write_text(
        f"traces: [{trace}]\nbatch: 100\nswaps: 100\nno_plots: true\noutput: {output}\n", encoding="utf-8"
    )
    assert run("matrix", "--config", config) == 0
    names = ["alpha.csv", "matrix.csv", "matrix.md", "oracle.csv", "rows.csv"]
    assert sorted(path.name for path in output.iterdir()) == names
    printed = capsys.readouterr().out
    assert "## Matrix, in sample: planned from the batches that it is measured on" in printed
    assert "- trace: 6 whole batches of 100 tokens are too few to replan between them; expected 20 or more." in printed


def test_statistics_and_hotness_of_a_trace(trace: Path, tmp_path: Path) -> None:
    assert run("statistics", trace, "--batch", 100, "--output", tmp_path / "experts.csv") == 0
    assert len(pd.read_csv(tmp_path / "experts.csv")) == 2 * 32
    assert run("hotness", trace, "--batch", 100, "--model", "M", "--dataset", "d", "--output", tmp_path / "t") == 0
    assert np.load(tmp_path / "t" / "M" / "d.npy").shape == (6, 2, 32)
    assert (
        run("import", tmp_path / "t" / "M" / "d.npy", "--experts", 32, "--top-k", 4, "--output", tmp_path / "b.npz")
        == 0
    )
    assert load_trace(tmp_path / "b.npz").choices.shape == (2, 600, 4)


def test_requests_are_imported(tmp_path: Path) -> None:
    (tmp_path / "requests").mkdir()
    routed = np.array([[[0, 1]], [[1, 2]], [[3, 0]]])
    tokens = {"prompt_token_ids": [5, 6], "output_token_ids": [8]}
    np.savez(tmp_path / "requests" / "a.npz", **tokens, routed_experts=routed)
    output = tmp_path / "trace.npz"
    assert run("import", tmp_path / "requests", "--experts", 4, "--part", "prompt", "--output", output) == 0
    assert np.asarray(load_trace(output).choices).tolist() == [[[0, 1], [1, 2]]]


def test_a_wrong_file_is_named_and_nothing_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = tmp_path / "wrong.npz"
    wrong.write_bytes(b"no archive")
    assert run("import", wrong, "--experts", 4, "--output", tmp_path / "out.npz") == 1
    assert capsys.readouterr().out.startswith("import: wrong.npz: the file cannot be read. Got: ")
    assert run("plan", wrong, "--output", tmp_path / "out.npz") == 1
    assert capsys.readouterr().out.startswith(f"plan: {wrong}: the file cannot be read. Got: ")
    assert not (tmp_path / "out.npz").exists()


def test_a_plan_of_another_trace_is_refused(trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other.npz"
    run("generate", "zipf", "--tokens", 100, "--experts", 16, "--top-k", 2, "--output", other)
    run("plan", other, "--output", tmp_path / "plan.npz")
    capsys.readouterr()
    assert run("simulate", trace, tmp_path / "plan.npz") == 1
    assert "the plan is for another trace. Got: 16 experts and layers (0,). Expected: " in capsys.readouterr().out


def test_a_plan_with_a_wrong_array_is_refused(trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = tmp_path / "plan.npz"
    assert run("plan", trace, "--output", plan) == 0
    with np.load(plan) as archive:
        arrays = dict(archive)
    np.savez(plan, **arrays | {"order": arrays["order"] + 0.5})
    capsys.readouterr()
    assert run("simulate", trace, plan) == 1
    assert f"{plan}: order holds no integers. Got: dtype float64. Expected: integers." in capsys.readouterr().out


def test_layers_side_by_side_change_nothing(trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = []
    for jobs in (1, 2):
        plan = tmp_path / f"{jobs}.npz"
        assert run("plan", trace, "--jobs", jobs, "--output", plan) == 0
        capsys.readouterr()
        assert run("simulate", trace, plan, "--jobs", jobs) == 0
        made.append((load_plan(plan).table.tolist(), capsys.readouterr().out))
    assert made[0] == made[1]


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is of Linux")
def test_the_module_runs_in_the_kits_folder_and_ends_as_the_kit_does_where_it_cannot_print() -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "lab", "--help"],
            cwd=ROOT / "starting_kit",
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2 and done.stderr.startswith("lab: what is printed cannot be written to standard output")


@pytest.mark.skipif(not (ANCHORS / "esft_dsv2lite_topk.npz").is_file(), reason="the recorded routing is not here")
def test_recorded_routing_goes_the_whole_way(tmp_path: Path) -> None:
    trace, source = tmp_path / "law.npz", ANCHORS / "esft_dsv2lite_topk.npz"
    assert run("import", source, "--experts", 64, "--domain", "law", "--max-requests", 20, "--output", trace) == 0
    assert load_trace(trace).choices.shape[0] == 26
    assert run("statistics", trace) == 0
    options = ("--grid", "8x4", "--swaps", 200, "--no-plots", "--batch", 512)
    assert run("matrix", trace, *options, "--output", tmp_path / "matrix") == 0
    assert run("hotness", trace, "--model", "V2-Lite", "--dataset", "law", "--output", tmp_path / "traces") == 0
    assert np.load(tmp_path / "traces" / "V2-Lite" / "law.npy").shape[1:] == (26, 64)
