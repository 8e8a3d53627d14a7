"""Re-scoring: the scorer's digits without a policy, the place of a difference, and the board before and after."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import rescore
import scoring
import seal
from cases import NONSENSE, Answers, B, C, P, make_case, redeploy, steady_trace
from kit_world import write_kit_world
from placement.decisions import pack
from placement.evaluation.findings import described
from placement.evaluation.result_files import write_json, write_results, write_series
from placement.evaluation.signature import PUBLISHED_KEY
from placement.evaluation.versions import versions
from placement.grid import Case, grid_from_mapping
from placement.replay import Rebalance, Replay, replay
from placement.results import identity, measures, series
from placement.trace import Trace
from placement.traces.files import TraceFolder
from placement.traces.yaml_file import read_yaml
from rescoring.differences import difference
from submissions import ROOT
from traces.reference import build, decline, ds_eplb_policy, write

SECONDS = {"started_seconds": 1_790_000_000.125, "duration_seconds": 1.5}
UNSIGNED = "note: no signature was checked; to check signatures, give --keys"


def every_second(trace: Trace, case: Case) -> Rebalance:
    """DS-EPLB for every second layer."""
    plan = ds_eplb_policy(trace, case)

    def rebalance(*call: Any) -> tuple[np.ndarray, np.ndarray]:
        layers, table = plan(*call)
        return layers[::2], table

    return rebalance


def write_run(
    folder: Path,
    grid_file: Path,
    traces: Path,
    policy: Callable[[Trace, Case], Rebalance] = ds_eplb_policy,
    key: bytes = PUBLISHED_KEY,
    **changes: Any,
) -> Path:
    """A run as the ingestion program writes it, without a policy's process; changes: of every row."""
    grid = grid_from_mapping(read_yaml(grid_file, "grid"))
    rows, curves, decisions = [], {}, {}
    opened = {cases[0].model: TraceFolder(traces).trace_of(cases[0]) for cases in grid.by_trace()}
    for case in grid.cases:
        trace = opened[case.model]
        measured = replay(trace, case, policy(trace, case))
        row = identity(case, grid.cost, trace.sha256) | {"status": "ok"} | measures(measured, trace)
        rows.append(row | {"policy_seconds": 0.5, "failure": None} | changes)
        curves |= {f"{case.key}/{name}": curve for name, curve in series(measured).items()}
        decisions |= {f"{case.key}/{name}": array for name, array in pack(measured).items()}
    head = {"status": "scored", "failure": None, "notes": [], "grid": described(grid)}
    content = head | {"sandbox": {"mode": "best_effort", "layers": []}, "cases": rows, "versions": versions()}
    folder.mkdir(parents=True)
    write_results(folder, content, curves, {}, decisions, lambda: SECONDS, key)
    return folder


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A grid of two cases with traces and reference, and a board of three runs."""
    folder = write_kit_world(tmp_path_factory.mktemp("world"))
    for name, policy in (("11", ds_eplb_policy), ("12", every_second), ("13", lambda *_: decline)):
        write_run(folder / "board" / name, folder / "grid.yaml", folder / "traces", policy)
    return folder


def run(world: Path, *arguments: object, folder: str | Path = "board", reference: str = "reference") -> int:
    """The command on a folder of the world, in this process."""
    paths = [world / folder, "--traces", world / "traces", "--reference", world / reference]
    texts = [*paths, "--output", world / "rescored", "--jobs", 1, *arguments]
    return rescore.main([str(text) for text in texts])


def written(world: Path) -> dict[str, dict[str, Any]]:
    """The runs of rescored.json by name, in the order of the board."""
    content = json.loads((world / "rescored" / "rescored.json").read_bytes())
    return {line["name"]: line for line in content["runs"]}


def test_the_sample_grid_gets_the_scorer_s_digits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sample, reference = ROOT / "sample_traces", ROOT / "reference_data"
    write_run(tmp_path / "run", ROOT / "ingestion_program" / "grid.yaml", sample, every_second)
    places = ("--results", tmp_path / "run", "--reference", reference, "--output", tmp_path / "scored")
    assert scoring.main([str(text) for text in places]) == 0
    arguments = [str(tmp_path / "run"), "--traces", str(sample), "--output", str(tmp_path / "rescored"), "--jobs", "1"]
    assert rescore.main(arguments) == 0
    line = written(tmp_path)["run"]
    scores = json.loads((tmp_path / "scored" / "scores.json").read_bytes())
    assert line["after"] == line["before"] == scores
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"1 runs: 1 agree with their logs, 0 change their rank; {tmp_path}/rescored/rescored.md"
    )


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_board_is_ranked_and_agrees(world: Path, capsys: pytest.CaptureFixture[str], jobs: int) -> None:
    assert run(world, "--jobs", jobs) == 0
    lines = written(world)
    scores = [line["after"]["composite_score"] for line in lines.values()]
    assert scores == sorted(scores, reverse=True) and lines["11"]["after"]["composite_score"] == 100.0
    assert [(line["rank"], line["rank_before"]) for line in lines.values()] == [(1, 1), (2, 2), (3, 3)]
    assert UNSIGNED in capsys.readouterr().out.splitlines()
    page = (world / "rescored" / "rescored.md").read_text(encoding="utf-8")
    assert page.count("| agrees |") == 3 and "differ from" not in page


def with_arrays(folder: Path, change: Callable[[dict[str, np.ndarray]], Any], name: str = "decisions.npz") -> Path:
    """Change the arrays of a run's file."""
    with np.load(folder / name) as archive:
        arrays = dict(archive)
    change(arrays)
    write_series(folder / name, arrays)
    return folder


def test_a_log_with_one_wrong_slot_is_told_with_its_place(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Layer 1 of the first call is applied in iteration 6, and iteration 8 is the first whose PAR differs."""
    folder = write_run(world / "slot", world / "grid.yaml", world / "traces")

    def exchange(arrays: dict[str, np.ndarray]) -> None:
        # The first slot of a replica in the second layer gets another expert than it had before or has now.
        changed, experts = arrays["Large/two/8/changed"], arrays["Large/two/8/experts"]
        row = experts[changed[0] : changed[0] + changed[1]]
        devices = np.flatnonzero(np.unpackbits(arrays["Large/two/8/slots"][1])) // 2
        slot = next(number for number, expert in enumerate(row) if (row == expert).sum() > 1)
        row[slot] = next(expert for expert in range(8) if expert not in (row[slot], devices[slot]))

    with_arrays(folder, exchange)
    assert run(world, folder="slot") == 1
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("slot: ")]
    assert told[0] == "slot: decisions.npz is not the file whose hash results.json states"
    assert told[1].startswith("slot: Large/two ep 8, call 1, iteration 8, layer 1: mean_par differs. Stored: ")
    assert len(told) == 2
    line = written(world)["slot"]
    assert line["after"] != line["before"] and line["differences"][0]["layer"] == 1


def test_a_wrong_slot_that_breaks_a_rule_is_told_with_its_place(
    world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_run(world / "lost", world / "grid.yaml", world / "traces")
    with_arrays(folder, lambda arrays: arrays["Small/one/4/experts"].fill(0))
    assert run(world, folder="lost") == 1
    assert (
        "lost: Small/one ep 4, call 1 (iteration 4), layer 0: an expert has no slot. Got: " in capsys.readouterr().out
    )
    assert written(world)["lost"]["after"] is None


def test_a_stored_number_that_the_log_does_not_give_is_told(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An altered transmit curve tells iteration and layer, an altered number alone tells the case."""
    folder = write_run(world / "number", world / "grid.yaml", world / "traces", transmit_amount=7)

    def one_more(arrays: dict[str, np.ndarray]) -> None:
        arrays["Small/one/4/transmit"][5] += 1

    with_arrays(folder, one_more, "series.npz")
    assert run(world, folder="number") == 1
    told = [line for line in capsys.readouterr().out.splitlines() if " differs. " in line]
    assert [line.rpartition(" From")[0] for line in told] == [
        "number: Small/one ep 4, call 1, iteration 6, layer 1: transmit_amount differs. Stored: 7.",
        "number: Large/two ep 8: transmit_amount differs. Stored: 7.",
    ]


def test_a_correction_of_the_prices_ranks_the_board_anew(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where moves cost a thousand times as much, the run that moves nothing leads."""
    content = yaml.safe_load((world / "grid.yaml").read_text(encoding="utf-8"))
    content["cost"]["expert_bytes"] *= 10_000
    (world / "dear.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    write(world / "dear", *build(grid_from_mapping(content), TraceFolder(world / "traces")))
    capsys.readouterr()
    assert run(world, "--before", world / "reference", reference="dear") == 1
    told = capsys.readouterr().out.splitlines()
    assert "note: if cases or costs were corrected, give the corrected grid with --grid" in told
    assert told[-1].startswith("3 runs: 0 agree with their logs, 0 change their rank, 3 are not re-scored; ")
    assert run(world, "--grid", world / "dear.yaml", "--before", world / "dear", reference="dear") == 0
    assert (
        "note: 3 runs do not fit the reference that counted (--before) and have no score before: 13: results.json: "
        "Small/one ep 4 was measured with another cost. Got: "
    ) in capsys.readouterr().out
    assert run(world, "--grid", world / "dear.yaml", "--before", world / "reference", reference="dear") == 0
    lines = written(world)
    assert [(name, line["rank"], line["rank_before"]) for name, line in lines.items()] == [
        ("13", 1, 3),
        ("12", 2, 2),
        ("11", 3, 1),
    ]


def test_on_another_trace_the_old_decisions_are_scored_and_that_is_said(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    traces = shutil.copytree(world / "traces", tmp_path / "traces")
    (path,) = traces.glob("Small/one.np*")
    hotness = np.load(path)
    np.save(path, hotness + 9 * np.arange(4, dtype=np.int32))
    grid = grid_from_mapping(read_yaml(world / "grid.yaml", "grid"))
    write(tmp_path / "corrected", *build(grid, TraceFolder(traces)))
    options = ("--traces", traces, "--before", world / "reference", "--reference", tmp_path / "corrected")
    assert run(world, *options) == 1
    printed = capsys.readouterr().out
    assert (
        "note: 3 cases were measured on other traces than these. Their scores here are the worth of the old decisions "
        "on "
        "these traces; a re-run would decide anew\n"
    ) in printed
    lines = written(world)
    assert all(line["before"] and line["after"] and len(line["differences"]) == 1 for line in lines.values())
    np.save(path, hotness[:-1])
    assert run(world, *options) == 1
    assert (
        "11: Small/one ep 4, decisions.npz: the log of decisions has other sizes. Got: Sizes(iterations=14, layers=2, "
        "experts=4, "
        "devices=4, slots=2). Expected: Sizes(iterations=13, "
    ) in capsys.readouterr().out


def test_zips_are_runs_too_and_what_has_no_score_is_listed(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = world / "zipped"
    folder.mkdir()
    with zipfile.ZipFile(folder / "21.zip", "w") as archive:
        for file in (world / "board" / "12").iterdir():
            archive.write(file, file.name)
    with zipfile.ZipFile(folder / "22.zip", "w") as archive:
        archive.writestr("policy.py", "")
    failure = {"where": "", "what": "no policy", "got": "", "expected": "", "next": ""}
    (folder / "23").mkdir()
    write_json(folder / "23" / "results.json", {"format": 4, "status": "refused", "failure": failure})
    assert run(world, folder="zipped") == 1
    lines = written(world)
    assert [(name, line["rank"]) for name, line in lines.items()] == [("21", 1), ("22", None), ("23", None)]
    printed = capsys.readouterr().out.splitlines()
    assert "23: the run has no score: refused" in printed
    told = "the run cannot be read: KeyError: \"There is no item named 'results.json' in the archive\""
    assert f"22: {told}" in printed


def test_signatures_are_held_against_the_competition_s_key(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = bytes(range(32))
    write_run(world / "signed" / "31", world / "grid.yaml", world / "traces", key=key)
    shutil.copytree(world / "board" / "11", world / "signed" / "32")
    keys = world / "keys"
    keys.mkdir()
    (keys / "signing.key").write_text(key.hex(), encoding="ascii")
    assert run(world, "--keys", keys, folder="signed") == 1
    lines, printed = written(world), capsys.readouterr().out
    assert lines["31"]["problems"] == [] and UNSIGNED not in printed
    assert "32: results.sig: does not sign results.json. Got: a signature with the published key" in printed
    # The Final's traces are sealed, and its key opens them.
    (keys / "trace.key").write_text(key.hex(), encoding="ascii")
    sealed = world / "sealed"
    paths = ("--traces", world / "traces", "--output", sealed, "--key", keys / "trace.key")
    assert seal.main([str(text) for text in paths]) == 0
    assert run(world, "--keys", keys, "--traces", sealed, folder="signed/31") == 0
    capsys.readouterr()
    assert run(world, "--keys", keys / "trace.key", folder="signed") == 2
    assert "error: --keys names no folder. Got: " in capsys.readouterr().err
    (keys / "signing.key").unlink()
    assert run(world, "--keys", keys, folder="signed") == 2


def replayed() -> tuple[dict[str, Any], dict[str, np.ndarray], Replay]:
    """Row, curves and replay of the design's worked example."""
    trace = steady_trace()
    measured = replay(trace, make_case(), Answers(redeploy([1, 0], [B, P]), redeploy([0], [C, NONSENSE])))
    return measures(measured, trace), series(measured), measured


def test_what_agrees_has_no_difference() -> None:
    row, curves, measured = replayed()
    assert difference(row, curves, measured, row) is None
    # Two builds of numpy may sum a mean in another order.
    assert difference(row, {name: curve + 1e-12 for name, curve in curves.items()}, measured, row) is None


@pytest.mark.parametrize(
    ("curve", "at", "told"),
    [
        ("transmit", 5, "M/d ep 2, call 1, iteration 6, layer 0: transmit[5] of series.npz differs. Stored: 4.0."),
        ("transmit", 7, "M/d ep 2, call 1, iteration 8: transmit[7] of series.npz differs. Stored: 1.0."),
        ("par", 0, "M/d ep 2, iteration 1: par[0] of series.npz differs. Stored: 2.5."),
        ("layer_par", 0, "M/d ep 2: layer_par[0] of series.npz differs. Stored: "),
    ],
)
def test_an_altered_curve_tells_its_place(curve: str, at: int, told: str) -> None:
    row, curves, measured = replayed()
    curves[curve] = curves[curve] + np.eye(len(curves[curve]), dtype=int)[at]
    assert str(difference(row, curves, measured, row)).startswith(told)


def test_without_curves_the_case_is_told_and_the_number() -> None:
    row, _, measured = replayed()
    found = difference(row | {"mean_par": 1.5}, {}, measured, row)
    assert str(found) == "M/d ep 2: mean_par differs. Stored: 1.5. From the log: 1.385416666667."


def test_without_a_run_nothing_is_written(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(world, "--output", tmp_path / "rescored", folder="traces") == 2
    assert capsys.readouterr().err == (
        f"rescore.py: error: no run was found. Got: no results.json and no zip in {world / 'traces'}. Expected: "
        "folders "
        "that hold results.json, or prediction results as Codabench has them, zipped. Next: correct the folders.\n"
    )
    assert not (tmp_path / "rescored").exists()
