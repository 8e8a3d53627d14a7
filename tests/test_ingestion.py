"""The ingestion program as the platform starts it: its files, its exit code, its log, and what it leaves behind."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pytest

from placement.decisions import replay_decisions
from placement.evaluation.decision_log import read_decisions
from placement.results import MEASURES, measures
from placement.submission.receipt import receipt, receipt_line
from placement.traces.files import TraceFolder
from scores.comparison import case_name
from submissions import (
    CASES,
    ITERATIONS,
    SHAPES,
    run_ingestion,
    sentence_of,
    tiny_grid,
    write_policy,
    write_world,
)
from traces import reference

# DS-EPLB through a module of its own, so that Python would like to write bytecode.
PLANS = """
import planner
print("planner loaded")
def rebalance(hotness, n_device, n_red_expert):
    table = planner.ds_eplb(hotness.sum(axis=0), n_device, n_red_expert)
    return True, range(len(table)), table, None
"""
PLANNER = {"planner.py": "from placement.ds_eplb import ds_eplb\n"}
FILES = ["decisions.npz", "explain.json", "results.json", "results.sig", "series.npz"]
SECONDS = rb'("(?:policy|slowest_call|call|started|duration)_seconds": )(?:[0-9.]+|\[[^]]*\])'
linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def results(world: Path) -> dict[str, Any]:
    """results.json, strictly read."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    return json.loads((world / "output" / "results.json").read_bytes(), parse_constant=refuse)


def statuses(world: Path) -> dict[str, str]:
    """The status of each case, in the order of the file."""
    return {f"{row['model']}/{row['dataset']} ep {row['ep']}": row["status"] for row in results(world)["cases"]}


def processes_in(folder: Path) -> list[int]:
    """Ids of the processes that work in a folder or below it."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if Path(os.readlink(entry)).is_relative_to(folder):
                found.append(int(entry.parent.name))
        except OSError:
            continue
    return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny grid with its traces, and DS-EPLB as a submission."""
    folder = write_world(tmp_path_factory.mktemp("world"))
    write_policy(folder / "submission", PLANS, PLANNER)
    return folder


@pytest.fixture(scope="module")
def scored(world: Path) -> CompletedProcess[str]:
    """DS-EPLB on the tiny grid, with old files in the way."""
    output = world / "output"
    output.mkdir()
    for name in [*FILES, *(f".{file}.part" for file in FILES)]:
        (output / name).write_text("old")
    return run_ingestion(world, world / "submission", "--jobs", "2")


def test_a_scored_run_ends_with_code_0_and_says_so(scored: CompletedProcess[str]) -> None:
    assert (scored.returncode, scored.stderr) == (0, "")
    assert scored.stdout.endswith("\ningestion: scored\n")


def test_every_case_has_a_row_with_the_reference_s_numbers(world: Path, scored: CompletedProcess[str]) -> None:
    content = results(world)
    rows, _ = reference.build(tiny_grid(), TraceFolder(world / "traces"))
    only_there = ("static_mean_par", "clairvoyant_mean_par", "clairvoyant_later_par", "simulator_version")
    expected = [{key: row[key] for key in row if key not in only_there} for row in rows["cases"]]
    assert len(expected) == len(CASES)
    assert [{key: row[key] for key in want} for row, want in zip(content["cases"], expected, strict=True)] == expected
    for row, want in zip(content["cases"], expected, strict=True):
        assert list(row.keys() - want.keys()) and (row["status"], row["failure"]) == ("ok", None)
        assert row.keys() - want.keys() == {
            *("status", "failure", "policy_seconds", "slowest_call_seconds", "call_seconds")
        }
        assert 0 <= row["slowest_call_seconds"] == max(row["call_seconds"]) <= row["policy_seconds"]
        assert len(row["call_seconds"]) == row["calls"]


def test_the_results_say_what_was_run_and_with_what(world: Path, scored: CompletedProcess[str]) -> None:
    content = results(world)
    head = ["format", "status", "failure", "notes", "grid", "sandbox", "cases", "versions", "receipt"]
    assert list(content) == [*head, "companions", "started_seconds", "duration_seconds"]
    assert (content["format"], content["status"], content["failure"]) == (4, "scored", None)
    measured = {"name": "tiny", "window": 3, "latency": 0}
    assert content["grid"] == measured | {"case_seconds": 60.0, "hidden": False, "container_seconds": 60.0}
    assert list(content["versions"]) == ["simulator", "python", "numpy", "machine"]
    (note,) = content["notes"]
    assert note.startswith("no manifest.yaml in ") and f"note: {note}\n" in scored.stdout


def test_the_receipt_stands_in_the_results_and_below_the_versions(world: Path, scored: CompletedProcess[str]) -> None:
    expected = receipt(world / "submission", tiny_grid())
    assert results(world)["receipt"] == expected
    first, second, *_ = scored.stdout.splitlines()
    assert first.startswith("versions: ") and second == receipt_line(expected)


def test_a_policy_in_an_outer_folder_has_the_same_receipt(world: Path, scored: CompletedProcess[str]) -> None:
    outer = world / "outer"
    write_policy(outer / "mine", PLANS, PLANNER)
    run = run_ingestion(world, outer, "--output", str(world / "from_outer"), "--traces", str(world / "nowhere"))
    assert run.stdout.splitlines()[1] == scored.stdout.splitlines()[1]
    # No trace was opened: the receipt is there as soon as the policy is found.
    content = json.loads((world / "from_outer" / "results.json").read_bytes())
    assert (content["status"], content["receipt"]) == ("data_unavailable", results(world)["receipt"])


def test_a_refused_submission_has_no_receipt(tmp_path: Path) -> None:
    world = write_world(tmp_path / "world")
    (tmp_path / "submission").mkdir()
    run = run_ingestion(world, tmp_path / "submission")
    assert results(world)["status"] == "refused" and "receipt" not in results(world)
    assert "receipt: " not in run.stdout


def test_the_curves_are_the_reference_s(world: Path, scored: CompletedProcess[str]) -> None:
    _, curves = reference.build(tiny_grid(), TraceFolder(world / "traces"))
    expected = {key.replace("/ds_eplb/", "/"): curve for key, curve in curves.items() if "/ds_eplb/" in key}
    expected = {key: curve for key, curve in expected.items() if not key.endswith("/heat_map")}
    with np.load(world / "output" / "series.npz", allow_pickle=False) as series:
        assert {key: series[key].tobytes() for key in series} == {key: expected[key].tobytes() for key in expected}
        for case in CASES:
            name, ep = case.split(" ep ")
            shapes = [series[f"{name}/{ep}/{kind}"].shape for kind in ("par", "transmit", "layer_par")]
            assert shapes == [(ITERATIONS,), (ITERATIONS,), SHAPES[name.split("/")[0]][:1]]


def test_the_decisions_play_back_to_the_results(world: Path, scored: CompletedProcess[str]) -> None:
    rows = {case_name(row): row for row in results(world)["cases"]}
    for case in tiny_grid().cases:
        trace = TraceFolder(world / "traces").trace_of(case)
        _, decisions = read_decisions(world / "output", case.key)
        numbers = measures(replay_decisions(trace, case, decisions), trace)
        assert numbers == {name: rows[case.name][name] for name in MEASURES} and numbers["calls"] > 0


def test_the_reference_s_heat_map_has_the_bins_and_values_of_the_explanation(
    world: Path, scored: CompletedProcess[str]
) -> None:
    _, curves = reference.build(tiny_grid(), TraceFolder(world / "traces"))
    explanations = json.loads((world / "output" / "explain.json").read_bytes())["cases"]
    for case, explanation in explanations.items():
        heat = curves[f"{case}/ds_eplb/heat_map"]
        assert np.array_equal(heat, np.array(explanation["heat_map"], np.float32))


def test_every_case_is_explained(world: Path, scored: CompletedProcess[str]) -> None:
    explanations = json.loads((world / "output" / "explain.json").read_bytes())["cases"]
    assert list(explanations) == [case.replace(" ep ", "/") for case in CASES]
    for case, explanation in explanations.items():
        fields = ("fixed_iterations", "bin_starts", "shifts", "heat_map", "costliest_windows", "largest_redeployment")
        assert list(explanation) == [*fields, "calls", "untouched_layers"]
        layers, _ = SHAPES[case.split("/")[0]]
        assert np.array(explanation["heat_map"]).shape == (layers, len(explanation["bin_starts"]))
        assert explanation["largest_redeployment"]["changed"] > 0


def test_progress_tells_each_case_as_it_ends_and_what_its_policy_printed(scored: CompletedProcess[str]) -> None:
    line = r"\[(\d)/4\] (\S+ ep \d): ok, mean_par \d\.\d{4}, transmit \d+, policy \d+\.\d\d s\n  \| planner loaded\n"
    found = re.findall(line, scored.stdout)
    assert [number for number, _ in found] == list("1234")
    assert sorted(case for _, case in found) == sorted(CASES)


def test_old_results_are_replaced_and_nothing_partial_remains(world: Path, scored: CompletedProcess[str]) -> None:
    assert sorted(path.name for path in (world / "output").iterdir()) == FILES


def test_nothing_is_written_into_the_submission(world: Path, scored: CompletedProcess[str]) -> None:
    assert sorted(path.name for path in (world / "submission").rglob("*")) == ["planner.py", "policy.py"]


def test_the_number_of_jobs_changes_no_byte(world: Path, scored: CompletedProcess[str]) -> None:
    again = world / "again"
    run = run_ingestion(world, world / "submission", "--jobs", "1", "--output", str(again))
    order = re.findall(r"\] (\S+ ep \d): ok", run.stdout)
    assert (run.returncode, order) == (0, CASES)
    for name in [file for file in FILES if file != "results.sig"]:
        first, second = ((folder / name).read_bytes() for folder in (world / "output", again))
        masked, count = re.subn(SECONDS, rb"\g<1>0", first)
        assert count == (3 * len(CASES) + 2 if name == "results.json" else 0)
        assert masked == re.sub(SECONDS, rb"\g<1>0", second)


LEAVES_A_FILE = """
import os, tempfile
def rebalance(hotness, n_device, n_red_expert):
    kept = [tempfile.NamedTemporaryFile(delete=False)]
    case = hotness.shape[2], n_device
"""


def run_failing(world: Path, source: str) -> CompletedProcess[str]:
    """Run a policy that leaves a file in every call, with an empty folder `temporary` for temporary files."""
    (world / "temporary").mkdir()
    submission = write_policy(world / "submission", LEAVES_A_FILE + source)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(world / "temporary"))
        return run_ingestion(world, submission, "--jobs", "2")


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, CompletedProcess[str]]:
    """A run of a policy that raises in one case, uses up its memory in the next, and ends in the last."""
    if sys.platform != "linux":
        pytest.skip("only Linux limits a process's memory")
    world = write_world(tmp_path_factory.mktemp("failing"), memory_bytes=2**29)
    source = """
    if case == (4, 2): raise ValueError("two")
    while case == (4, 4): kept.append(bytes(2**24))
    if case == (8, 8): os._exit(3)
    return False, None, None, None
"""
    return world, run_failing(world, source)


@pytest.fixture(scope="module")
def hanging(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, CompletedProcess[str]]:
    """A run of a policy that hangs in every case: no honest call is under the small limit."""
    world = write_world(tmp_path_factory.mktemp("hanging"), call_seconds=1)
    return world, run_failing(world, "    import signal\n    while True: signal.pause()\n")


def test_cases_that_fail_do_not_keep_the_others_from_running(failing: tuple[Path, CompletedProcess[str]]) -> None:
    world, run = failing
    assert (run.returncode, run.stderr) == (1, "")
    assert statuses(world) == dict(zip(CASES, ["crashed", "out_of_memory", "ok", "crashed"], strict=True))
    rows = results(world)["cases"]
    assert [row[name] is None for row in rows for name in MEASURES] == [
        row["status"] != "ok" for row in rows for _ in MEASURES
    ]
    assert json.loads((world / "output" / "explain.json").read_bytes())["cases"].keys() == {"Large/two/4"}
    for name, others in (("series.npz", set()), ("decisions.npz", {""})):
        with np.load(world / "output" / name) as arrays:
            assert {key.rpartition("/")[0] for key in arrays} == {"Large/two/4"} | others


def test_each_failure_is_told_in_the_results_and_at_the_end_of_the_log(
    failing: tuple[Path, CompletedProcess[str]],
) -> None:
    world, run = failing
    content = results(world)
    assert (content["status"], content["failure"]) == ("failed", None)
    lines = [f"{row['status']}: {sentence_of(row)}" for row in content["cases"] if row["status"] != "ok"]
    call = "call 1 (iteration 4)"
    got = "Got: ValueError: two (policy.py, line 7, in rebalance)."
    assert lines[0].startswith(f"crashed: {CASES[0]}, {call}: the policy raised an exception. {got}")
    assert lines[1].startswith(f"out_of_memory: {CASES[1]}, {call}: the policy ran out of memory.")
    assert lines[2].startswith(f"crashed: {CASES[3]}, {call}: the policy's process ended. Got: exit code 3.")
    assert run.stdout.splitlines()[-4:] == [*lines, "ingestion: failed: 3 of 4 cases failed"]
    assert re.search(r"^\[\d/4\] Small/one ep 2: crashed, policy \d+\.\d\d s$", run.stdout, re.MULTILINE)


def test_every_case_that_hangs_is_ended(hanging: tuple[Path, CompletedProcess[str]]) -> None:
    world, run = hanging
    assert (run.returncode, run.stderr) == (1, "")
    assert statuses(world) == dict.fromkeys(CASES, "timeout")
    assert run.stdout.splitlines()[-1] == "ingestion: failed: 4 of 4 cases failed"


@linux
def test_crashing_hanging_and_memory_eating_policies_leave_nothing(
    failing: tuple[Path, CompletedProcess[str]], hanging: tuple[Path, CompletedProcess[str]]
) -> None:
    for world, _ in (failing, hanging):
        assert processes_in(world) == [] and list((world / "temporary").iterdir()) == []
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, cwd=world) as witness:
        assert processes_in(world) == [witness.pid]


@pytest.mark.parametrize("jobs", ["0", "-1", "two"])
def test_a_wrong_option_ends_with_code_2_and_touches_nothing(tmp_path: Path, jobs: str) -> None:
    run = run_ingestion(tmp_path, tmp_path, "--jobs", jobs)
    assert run.returncode == 2 and "ingestion.py: error: " in run.stderr
    assert list(tmp_path.iterdir()) == []
