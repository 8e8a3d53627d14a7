"""`sweep`: the same digits as with the sandbox, failures beside what is finished, and going on where it ended."""

from __future__ import annotations

import io
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import kit
from commands import executor, sweep_traces
from commands import sweep as module
from commands.bar import Bar, seconds_left
from commands.options import UsageError
from commands.places import GRID
from commands.selection import read_grid
from kit_world import refused
from placement.errors import OrganizerError
from submissions import DECLINES, run_policy, stored_hotness, write_policy, write_world
from sweeps import pool
from sweeps.cases import Axes, cases_of
from sweeps.job import run_job
from sweeps.output import alone
from sweeps.table import COLUMNS, cost_text
from sweeps.trace_file import TraceFile
from traces.manifest import entry_of, write_manifest

# Remembers calls in a global, which every case has for itself, and reads a constant.
SHIFTS = """
    import numpy as np
    STEP = 1
    CALLS = []

    class Policy:
        def __init__(self, case):
            self.layers = case.layers

        def rebalance(self, hotness, deployment, iteration):
            CALLS.append(iteration)
            return range(self.layers), np.roll(deployment, STEP * len(CALLS), axis=2)
"""
# The worked example of the replay loop: pages/evaluation.md.
EXAMPLE = """
    import numpy as np

    class Policy:
        def __init__(self, case):
            self.calls = 0

        def rebalance(self, hotness, deployment, iteration):
            self.calls += 1
            if self.calls == 1:
                return [1, 0], [[[0, 1, 2], [0, 1, 3]], [[1, 0, 1], [2, 3, 3]]]
            return [0], [[[0, 1, 2], [0, 3, 3]], [[0, 0, 0], [0, 0, 0]]]
"""
HALF = (
    "def rebalance(hotness, n, r):\n    assert hotness.shape[2] == 4, 'too many'\n    return False, None, None, None\n"
)
# Never ends its call on four devices.
WAITS = """
    import signal
    from pathlib import Path

    def rebalance(hotness, n_device, n_red_expert):
        if n_device == 4:
            Path({begun!r}).touch()
            signal.pause()
        return False, None, None, None
"""


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_world(tmp_path_factory.mktemp("world")) / "traces"


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The titles of the jobs that were run, with their traces."""
    ran: list[str] = []

    def noted(job: Any) -> Any:
        ran.append(f"{job.title} on {job.trace.name}")
        return run_job(job)

    monkeypatch.setattr(module, "run_all", lambda *arguments: pool.run_all(*arguments, run=noted))
    return ran


def without_seconds(frame: Any) -> list[list[Any]]:
    return frame.drop(columns="policy_seconds").astype(object).where(frame.notna(), None).values.tolist()


def test_the_digits_are_those_of_a_run_with_the_sandbox(traces: Path, tmp_path: Path) -> None:
    policy = write_policy(tmp_path / "shifts", SHIFTS)
    isolated = run_policy(policy).row
    frame = kit.sweep(traces, policy, ep=[2, 4], window=[3], output=tmp_path)
    assert list(frame.columns) == list(COLUMNS) and frame["status"].tolist() == ["ok"] * 4
    assert frame[["model", "ep", "redundant_experts"]].values.tolist() == [
        ["Large", 2, 2],
        ["Large", 4, 4],
        ["Small", 2, 2],
        ["Small", 4, 4],
    ]
    row = frame.iloc[2]
    for name in ("mean_par", "transmit_amount", "par_p50", "par_p95", "par_p99"):
        assert row[name] == isolated[name], name
    assert row["balancedness"] == round(1 / isolated["mean_par"], 12)


def test_a_hand_computed_case(tmp_path: Path) -> None:
    (tmp_path / "traces" / "Small").mkdir(parents=True)
    np.save(tmp_path / "traces" / "Small" / "example.npy", np.tile(np.array([4, 2, 1, 0], np.int32), (12, 2, 1)))
    policy = write_policy(tmp_path / "example", EXAMPLE)
    cost, said = {"expert_bytes": 9 * 10**11, "balanced_compute_seconds": 24}, []
    frame = kit.sweep(tmp_path / "traces", policy, ep=[2], window=[3], cost=cost, output=tmp_path, show=said.append)
    (row,) = frame.to_dict("records")
    assert (row["mean_par"], row["transmit_amount"], row["largest_transmit"]) == (1.385416666667, 6, 5)
    # PAR is 1.5 in iterations 1 to 5, of 12, in both layers.
    assert row["fixed_par"] == round(5 / 24, 12)
    # A second for each slot that changed.
    assert row["modeled_seconds"] == pytest.approx(24 * 1.385416666667 + 6)
    # Two layers, of each device one of two redundant experts.
    assert row["replica_bytes_per_device"] == 2 * 9 * 10**11
    assert cost_text(frame.attrs["cost"]) == (
        "balanced_compute_seconds 24, expert_bytes 900000000000, bandwidth_bytes_per_second 900000000000"
    )


def test_a_failing_policy_has_its_status_and_the_others_are_finished(traces: Path, tmp_path: Path, capsys) -> None:
    policies = [str(write_policy(tmp_path / name, source)) for name, source in (("half", HALF), ("ok", DECLINES))]
    arguments = ["sweep", str(traces), "--policy", *policies, policies[0], "--ep", "4", "--window", "3"]
    assert kit.main([*arguments, "--output", str(tmp_path / "out")]) == 1
    *_, trusted, _, failure, last = capsys.readouterr().out.splitlines()
    assert trusted == "policies ran without the sandbox and without limits of time and memory"
    assert failure == (
        "half: Large/two ep 4 +4, window 3, call 1 (iteration 4): the policy raised an exception. "
        "Got: AssertionError: too many (policy.py, line 2, in rebalance)."
    )
    assert last == "failed: half. Next: correct what is named above; all other results are kept"
    header, *rows = (tmp_path / "out" / "sweep.csv").read_text().splitlines()
    status = header.split(",").index("status")
    assert [row.split(",")[status] for row in rows] == ["crashed", "ok", "ok", "ok"]
    assert "| half |  | Large | two | 4 | 4 | 3 | crashed | - |" in (tmp_path / "out" / "sweep.md").read_text()


def test_what_is_kept_is_not_run_again_and_the_table_is_the_same(traces: Path, tmp_path: Path, jobs: list[str]) -> None:
    policy = write_policy(tmp_path / "ok", DECLINES)
    first = kit.sweep(traces, policy, ep=[4], window=[3], output=tmp_path)
    assert len(jobs) == 4
    assert first.equals(kit.sweep(traces, policy, ep=[4], window=[3], output=tmp_path)) and len(jobs) == 4
    # Of a wider sweep what is new alone is run.
    kit.sweep(traces, policy, ep=[4], window=[3, 4], output=tmp_path)
    assert len(jobs) == 8


def test_an_interrupted_policy_keeps_the_cases_that_it_has_finished(traces: Path, tmp_path: Path, monkeypatch) -> None:
    begun, said = tmp_path / "begun", []
    policy = write_policy(tmp_path / "waits", WAITS.format(begun=str(begun)))

    def interrupt(done: int, cases: int) -> None:
        # The bar has moved before the job ended.
        if begun.exists() and done == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(module, "LOOK_EVERY", 1)

    arguments = {"ep": [2, 4], "window": [3], "output": tmp_path, "jobs": 1, "show": said.append}
    with pytest.raises(KeyboardInterrupt):
        kit.sweep(traces, policy, tick=interrupt, **arguments)
    # Four of DS-EPLB, and the first of the policy's first two.
    assert said[-1] == f"5 of 8 cases are kept in {tmp_path / 'units'}; repeat the same command to continue"


def test_an_interrupt_keeps_what_is_finished_and_says_how_to_go_on(
    traces: Path, tmp_path: Path, jobs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    policy, said = write_policy(tmp_path / "ok", DECLINES), []

    def interrupt(line: str) -> None:
        said.append(line)
        if line.startswith("[2/4]"):
            raise KeyboardInterrupt

    arguments = {"ep": [4], "window": [3], "output": tmp_path, "jobs": 1}
    with pytest.raises(KeyboardInterrupt):
        kit.sweep(traces, policy, show=interrupt, **arguments)
    assert said[-1] == f"2 of 4 cases are kept in {tmp_path / 'units'}; repeat the same command to continue"
    jobs.clear()
    said.clear()
    again = kit.sweep(traces, policy, show=said.append, **arguments)
    assert said[0] == f"[2/4] kept from an earlier sweep in {tmp_path / 'units'}" and len(jobs) == 2
    whole = kit.sweep(traces, policy, **arguments | {"output": tmp_path / "whole"})
    assert without_seconds(again) == without_seconds(whole)


def test_a_parameter_sets_a_constant_of_the_policies_that_have_it(traces: Path, tmp_path: Path) -> None:
    policies, said = [write_policy(tmp_path / "shifts", SHIFTS), write_policy(tmp_path / "ok", DECLINES)], []
    frame = kit.sweep(
        traces, policies, ep=[2], window=[3], parameters={"step": [1, 0]}, output=tmp_path, show=said.append
    )
    assert said[0] == "ok has no constant STEP, so step does not vary there"
    small = frame[frame["model"] == "Small"]
    assert small["parameters"].tolist() == ["step=1", "step=0", ""]
    assert small["transmit_amount"].tolist()[1:] == [0, 0] and small["transmit_amount"].iloc[0] > 0
    assert frame.attrs["values"] == {"step=1": {"step": 1}, "step=0": {"step": 0}, "": {}}


def test_a_parameter_that_no_policy_has_is_refused_with_those_there_are(traces: Path, tmp_path: Path, capsys) -> None:
    policy = write_policy(tmp_path / "shifts", SHIFTS)
    said = refused(capsys, "sweep", traces, "--policy", policy, "--parameter", "speed=1", "--output", tmp_path)
    assert said == (
        "kit.py: error: no policy has a constant of this name. Got: --parameter speed, so SPEED. Expected: a constant "
        "at the top of policy.py, set once to a plain value: shifts: STEP, CALLS. Next: correct --parameter, or add "
        "the constant to policy.py."
    )


def test_cases_that_do_not_fit_are_left_out_and_said(traces: Path, tmp_path: Path) -> None:
    policy, said = write_policy(tmp_path / "ok", DECLINES), []
    frame = kit.sweep(
        traces, policy, ep=[4], redundant=[4, 3], window=[3, 13], output=tmp_path, show=said.append, jobs=1
    )
    assert len(frame) == 2
    assert said[:2] == [
        "Large/two ep 4 +3, window 3, is left out: 4 does not divide 8 + 3",
        "Large/two ep 4 +4, window 13, is left out: 14 iterations are less than window + 2",
    ]


def test_a_trace_that_no_case_fits_is_left_out_and_a_sweep_without_any_case_is_refused(
    traces: Path, tmp_path: Path, capsys
) -> None:
    policy, options = write_policy(tmp_path / "ok", DECLINES), {"redundant": [0], "window": [3], "output": tmp_path}
    frame = kit.sweep(traces, policy, ep=[8], **options)
    assert frame["model"].tolist() == ["Large"]
    arguments = ["sweep", traces, "--policy", policy, "--output", tmp_path, "--ep", 3, "--redundant", 0, "--window", 3]
    assert refused(capsys, *arguments) == (
        "kit.py: error: no case fits. Got: Large/two ep 3 +0, window 3, is left out: 3 does not divide 8 + 0; "
        "Small/one ep 3 +0, window 3, is left out: 3 does not divide 4 + 0. Expected: ep that divides the experts and "
        "the redundant ones together, window + 2 iterations. Next: correct --ep, --redundant or --window."
    )


@pytest.mark.parametrize(("iterations", "notes"), [(99, 1), (100, 0)])
def test_windows_that_begin_at_too_different_iterations_are_noted(iterations: int, notes: int) -> None:
    trace = TraceFile(Path(), "Small", "one", (iterations, 1, 4), "")
    _, said = cases_of(trace, Axes([2], None, [5, 4]))
    note = (
        "note: Small/one: of 99 iterations 6 at window 4 and 7 at window 5 come before the first redeployment; every "
        "row counts them, so that long windows look worse than on a longer trace"
    )
    assert said == [note] * notes


def test_a_dump_is_converted_once_and_again_when_what_an_option_names_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dump, said, note = tmp_path / "counts", [], "note: what lies in older/ of counts is not read"
    (dump / "older").mkdir(parents=True)
    np.save(dump / "counts.npy", stored_hotness("Small") + 1)
    policy, options = write_policy(tmp_path / "ok", DECLINES), {"ep": [2], "window": [3], "output": tmp_path / "out"}
    licence = tmp_path / "licence"
    licence.write_text("one")
    convert = f"--from npy --model Small --licence {licence}"
    frame = kit.sweep(dump, policy, convert=convert, show=said.append, **options)
    assert frame[["model", "dataset"]].values.tolist() == [["Small", "counts"]]
    assert said[0] == f"converts {dump}" and any("counts.npy: " in line for line in said) and note in said
    # What a conversion that was killed leaves.
    (manifest,) = (tmp_path / "out").glob("converted/*/manifest.yaml")
    manifest.unlink()
    assert frame.equals(kit.sweep(dump, policy, convert=convert, **options))
    said.clear()
    with monkeypatch.context() as patch:
        patch.setattr(sweep_traces, "_convert", None)
        assert frame.equals(kit.sweep(dump, policy, convert=convert, show=said.append, **options))
    assert said[0] == note
    licence.write_text("another")
    kit.sweep(dump, policy, convert=convert, show=said.append, **options)
    assert f"converts {dump}" in said


def test_a_trace_that_is_replaced_under_its_manifest_is_refused(tmp_path: Path) -> None:
    (tmp_path / "Small").mkdir()
    write_manifest(tmp_path, {"traces": {"Small/one": entry_of("Small/one.npy", stored_hotness("Small"), "", "")}})
    np.save(tmp_path / "Small" / "one.npy", stored_hotness("Small") + 1)
    with pytest.raises(OrganizerError, match=r"^trace Small/one: the trace's sha256 is not the manifest's\. Got: "):
        kit.sweep(tmp_path, write_policy(tmp_path / "ok", DECLINES), output=tmp_path / "out")


def test_two_sweeps_do_not_write_into_one_folder(traces: Path, tmp_path: Path, capsys) -> None:
    policy = write_policy(tmp_path / "ok", DECLINES)
    with alone(tmp_path):
        assert kit.main(["sweep", str(traces), "--policy", str(policy), "--output", str(tmp_path)]) == 1
    assert capsys.readouterr().out == (
        f"another sweep writes into the output folder. Got: {tmp_path}. Expected: a folder for each sweep at a time. "
        "Next: wait until it has ended, or name another --output.\n"
    )


def test_a_dump_that_needs_an_option_says_where_it_stands(tmp_path: Path, capsys) -> None:
    (tmp_path / "dump.txt").write_text("nothing\n")
    policy = write_policy(tmp_path / "ok", DECLINES)
    assert kit.main(["sweep", str(tmp_path / "dump.txt"), "--policy", str(policy), "--output", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.endswith("; give the options of kit.py convert as --convert='OPTIONS'.\n")


def test_seeds_draw_traces_of_the_same_size_instead(tmp_path: Path) -> None:
    (tmp_path / "traces" / "Small").mkdir(parents=True)
    np.save(tmp_path / "traces" / "Small" / "one.npy", stored_hotness("Small"))
    policy, said = write_policy(tmp_path / "ok", DECLINES), []
    frame = kit.sweep(tmp_path / "traces", policy, ep=[2], window=[3], seeds=2, output=tmp_path, show=said.append)
    assert frame["dataset"].tolist() == ["one-seed1001", "one-seed1002"]
    assert said[0] == (
        "Small/one-seed1001: drawn from seed 1001000, [14, 2, 4], by the profile DS-R1/LmSys, not by the counts of "
        "Small/one"
    )
    assert frame["mean_par"].nunique() == 2


def test_two_traces_of_one_name_are_refused(traces: Path, tmp_path: Path, capsys) -> None:
    policy = write_policy(tmp_path / "ok", DECLINES)
    said = refused(capsys, "sweep", traces, traces, "--policy", policy, "--output", tmp_path)
    assert said.startswith(
        "kit.py: error: two traces have the same name. Got: Large/two. Expected: a different name for each. Next: "
    )


def test_the_time_left_counts_what_was_done_since_the_bar_began() -> None:
    terminal = io.StringIO()
    bar = Bar(terminal, estimates=True)
    bar.line("[5/10] kept from an earlier sweep")
    bar._began -= 60
    bar.line("[7/10] two cases")
    assert "7 of 10 cases, 60 s, about 90 s left" in terminal.getvalue().rpartition("\r")[2]
    assert seconds_left(0, 5, 60.0) is None


@pytest.mark.parametrize(
    ("constant", "said"),
    [
        (
            "expert_bytes=0",
            "cost.expert_bytes is not valid. Got: 0. Expected: an integer of at least 1 and less than 2^63.",
        ),
        ("bytes=1", "bandwidth_bytes_per_second; unknown: 'bytes'. Next: correct --cost."),
        ("expert_bytes", "argument --cost: 'expert_bytes' is not NAME=NUMBER"),
    ],
)
def test_a_constant_of_the_cost_that_grids_would_refuse_is_refused(traces: Path, capsys, constant, said) -> None:
    assert said in refused(capsys, "sweep", traces, "--policy", traces, "--cost", constant)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ("--executor", "dask"),
            "--executor dask needs distributed. Got: distributed is not installed. Expected: the extra `dask`. "
            "Next: .venv/bin/python -m pip install '.[dask]', or leave --executor out.",
        ),
        (
            ("--dask-address", "tcp://here:1"),
            "--dask-address needs --executor dask. Got: --executor processes. Expected: --executor dask with "
            "--dask-address. "
            "Next: add --executor dask, or leave --dask-address out.",
        ),
    ],
)
def test_options_of_dask_are_refused_where_there_is_none(
    traces: Path, tmp_path: Path, capsys, monkeypatch, options, said
) -> None:
    monkeypatch.setattr(executor.importlib.util, "find_spec", lambda name: None)
    policy = write_policy(tmp_path / "ok", DECLINES)
    assert refused(capsys, "sweep", traces, "--policy", policy, *options) == f"kit.py: error: {said}"


class Cluster:
    """A client of Dask's, as far as it is asked: what the workers and the scheduler answer."""

    def __init__(self, scheduler: bool, **workers: bool) -> None:
        self.scheduler, self.workers = scheduler, workers

    def run(self, asked: Any) -> dict[str, bool]:
        return self.workers

    def run_on_scheduler(self, asked: Any) -> bool:
        return self.scheduler and asked()


def test_a_cluster_that_cannot_import_the_kit_is_refused_and_one_without_workers_is_said(capsys) -> None:
    executor.check_kit(Cluster(True, one=True), "tcp://here:1")
    assert capsys.readouterr().out == ""
    executor.check_kit(Cluster(True), "tcp://here:1")
    assert capsys.readouterr().out == "no worker is at tcp://here:1 yet: jobs wait until one comes\n"
    with pytest.raises(UsageError) as refusal:
        executor.check_kit(Cluster(False, one=True, two=False), "tcp://here:1")
    assert str(refusal.value) == (
        "a part of the Dask cluster cannot import the kit. Got: no kit in scheduler, worker two. Expected: "
        f"{executor.PYTHONPATH} and the kit's folder as working folder, for scheduler and workers. "
        "Next: start them again as starting_kit/sweeps/guide.md shows."
    )


def test_the_fastest_case_is_exported_as_the_sweep_says(traces: Path, tmp_path: Path, capsys) -> None:
    policy, out = write_policy(tmp_path / "shifts", SHIFTS), tmp_path / "out"
    arguments = ["--ep", "2", "--redundant", "0", "2", "--window", "3", "4", "--parameter", "step=0"]
    assert kit.main(["sweep", str(traces), "--policy", str(policy), *arguments, "--output", str(out)]) == 0
    first, last = "to start an engine from the fastest case: ", capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(first)
    words = shlex.split(last.removeprefix(first))[2:]
    assert words[0] == "export" and words[1].startswith(str(out / "policies" / "shifts-step=0-"))
    words[words.index("sglang")] = "npy"
    words[words.index(str(out / "start.json"))] = str(out / "start.npy")
    assert kit.main(words) == 0
    frame = pd.read_csv(out / "sweep.csv").query("model == 'Large'")
    slots = 8 + frame.loc[frame["modeled_seconds"].idxmin(), "redundant_experts"]
    assert np.load(out / "start.npy").shape[1:] == (2, slots / 2)
    # Of each trace and window a grid, with the sweep's cases and cost.
    grids = {str(path.relative_to(out / "grids")) for path in out.glob("grids/*/*.yaml")}
    assert grids == {f"{name}-window-{window}.yaml" for name in ("Large/two", "Small/one") for window in (3, 4)}
    grid = read_grid(out / "grids" / "Small" / "one-window-4.yaml")
    assert [(case.ep, case.redundant_experts, case.window) for case in grid.cases] == [(2, 0, 4), (2, 2, 4)]
    assert vars(grid.cost) == vars(read_grid(GRID).cost)


def test_of_a_dump_s_folder_the_wrong_file_is_named(tmp_path: Path, capsys) -> None:
    (tmp_path / "dump").mkdir()
    np.save(tmp_path / "dump" / "counts.npy", np.full((3, 2, 4), np.nan))
    policy = write_policy(tmp_path / "ok", DECLINES)
    options = ["--convert=--from npy", "--output", str(tmp_path / "out")]
    assert kit.main(["sweep", str(tmp_path / "dump"), "--policy", str(policy), *options]) == 2
    assert f"error: {tmp_path / 'dump'}, counts.npy: a count is out of range. Got: nan" in capsys.readouterr().err


def test_a_sealed_trace_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "Small").mkdir()
    (tmp_path / "Small" / "one.sealed").write_bytes(b"sealed")
    write_manifest(tmp_path, {"traces": {"Small/one": {"file": "Small/one.sealed"}}})
    with pytest.raises(OrganizerError) as refusal:
        kit.sweep(tmp_path, write_policy(tmp_path / "ok", DECLINES), output=tmp_path / "out")
    assert str(refusal.value) == (
        "trace Small/one: the trace is sealed. Got: one.sealed. Expected: a .npy or .npz file. "
        "Next: name plain traces: a sweep opens none with a key."
    )
