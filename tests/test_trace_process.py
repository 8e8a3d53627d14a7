"""A trace's process that ends, stops or fails: its cases are told of, the others are measured, nothing hangs."""

from __future__ import annotations

import multiprocessing
import os
import signal
import struct
import textwrap
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from placement.errors import OrganizerError
from placement.evaluation import trace_process
from placement.evaluation.grid_run import run_grid
from placement.evaluation.order import order
from placement.evaluation.trace_process import Run, TraceJob, TraceProcess
from placement.grid import Grid, grid_from_mapping
from placement.trace import Trace
from placement.traces.files import TraceFolder
from submissions import DECLINES, grid_mapping, sentence_of, slow_calls, tiny_grid, write_policy, write_world

SERVE, SERVE_JOB = trace_process._serve, trace_process._serve_job
LOST = "the process that replays this trace ended. Got: exit code {}. Expected: a measured case. "


def run_in(folder: Path, policy: str = DECLINES, grid: Grid | None = None) -> Run:
    """A run of a policy, by default on the tiny grid."""
    world = write_world(folder)
    return Run(write_policy(world, policy), grid or tiny_grid(), TraceFolder(world / "traces"))


def jobs_in(folder: Path) -> list[TraceJob]:
    """The first trace's two cases, with as much time as the grid has."""
    run = run_in(folder)
    return [TraceJob(run, list(run.grid.cases[:2]), time.monotonic() + run.grid.limits.grid_seconds)]


def end_in_a_message(jobs: list[TraceJob], connection: Connection) -> None:
    """Stands for a process that the machine ends, for lack of memory, while it sends."""
    connection.send("hidden")
    connection.send("opened")
    os.write(connection.fileno(), struct.pack("!i", 1000) + b"a part of them")
    os._exit(9)


def end_before_anything(jobs: list[TraceJob], connection: Connection) -> None:
    """Stands for a process that cannot even start."""
    os._exit(3)


def stop(jobs: list[TraceJob], connection: Connection) -> None:
    """Stands for a process that something has stopped."""
    connection.send("hidden")
    connection.send("opened")
    os.kill(os.getpid(), signal.SIGSTOP)


def end_on_the_small_model(jobs: list[TraceJob], connection: Connection) -> None:
    """Stands for a process that something kills while it replays one of two traces."""

    def serve_job(job: TraceJob, *others: Any) -> None:
        if job.cases[0].model == "Small":
            connection.send("opened")
            os.kill(os.getpid(), signal.SIGKILL)
        SERVE_JOB(job, *others)

    trace_process._serve_job = serve_job
    SERVE(jobs, connection)


def test_a_process_that_ends_before_it_has_opened_its_trace_is_the_machine_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace_process, "_serve", end_before_anything)
    with pytest.raises(OrganizerError) as raised:
        run_grid(run_in(tmp_path), 2, lambda outcome: None)
    assert str(raised.value) == (
        "trace Small/one: the process that reads this trace ended. Got: exit code 3. Expected: an opened trace. "
        "Next: look for used-up memory on the machine."
    )


def test_a_process_that_ends_early_is_reported_for_each_of_its_cases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace_process, "_serve", end_in_a_message)
    process = TraceProcess(jobs_in(tmp_path))
    process.wait_until_hidden()
    told = []
    with closing(process):
        outcomes = process.run(0, told.append, Event())
    assert outcomes == told and [outcome.row["status"] for outcome in outcomes] == ["crashed", "crashed"]
    assert sentence_of(outcomes[1].row).startswith(f"Small/one ep 4: {LOST.format(9)}")


@pytest.mark.skipif(trace_process.METHOD != "fork", reason="the process is to inherit what stands for its work")
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_killed_process_loses_its_own_trace_s_cases_only(
    jobs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace_process, "_serve", end_on_the_small_model)
    outcomes = run_grid(run_in(tmp_path), jobs, lambda outcome: None)
    assert [outcome.row["status"] for outcome in outcomes] == ["crashed", "crashed", "ok", "ok"]
    assert sentence_of(outcomes[0].row).startswith(f"Small/one ep 2: {LOST.format(-9)}")


@pytest.mark.skipif(trace_process.METHOD != "fork", reason="the process is to inherit another clock")
def test_a_case_that_hangs_does_not_keep_its_trace_s_next_case_from_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow_calls(monkeypatch, 100, devices=2)
    hangs = DECLINES.replace("    return", "    import signal\n    while n_device == 2: signal.pause()\n    return")
    outcomes = run_grid(run_in(tmp_path, hangs), 2, lambda outcome: None)
    assert [outcome.row["status"] for outcome in outcomes] == ["timeout", "ok", "ok", "ok"]


def test_a_stopped_process_cannot_hang_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_process, "_serve", stop)
    monkeypatch.setattr(trace_process, "GRACE_SECONDS", 0.0)
    process = TraceProcess(jobs_in(tmp_path))
    process.wait_until_hidden()
    assert process._connection.poll(60)
    # The grid's time is over.
    process._jobs = [replace(process._jobs[0], deadline=0.0)]
    with closing(process):
        outcomes = process.run(0, lambda outcome: None, Event())
    assert [outcome.row["status"] for outcome in outcomes] == ["crashed", "crashed"]


def test_a_failure_of_the_simulator_itself_is_not_the_policy_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(folder: Path, cases: object, open_trace: Callable[[], Trace], *others: object) -> None:
        open_trace()
        raise OSError("no descriptor left")

    monkeypatch.setattr(trace_process, "run_cases", fail)
    monkeypatch.setattr(trace_process.signal, "signal", lambda *arguments: None)
    for name in ("die_with_program", "hide_process"):
        monkeypatch.setattr(trace_process, name, lambda: None)
    here, there = multiprocessing.Pipe()
    here.send(0)
    here.send(None)
    trace_process._serve(jobs_in(tmp_path), there)
    assert (here.recv(), here.recv()) == ("hidden", "opened")
    assert str(here.recv()) == (
        "trace Small/one: the simulator itself failed. Got: OSError: no descriptor left. Expected: measured cases. "
        "Next: organizers find the reason in the log above."
    )


def test_no_case_runs_before_every_process_is_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order = []
    for name in ("wait_until_hidden", "run"):
        method = getattr(TraceProcess, name)
        monkeypatch.setattr(
            TraceProcess, name, lambda *a, name=name, method=method: (order.append(name), method(*a))[1]
        )
    run_grid(run_in(tmp_path), 2, lambda outcome: None)
    assert order == ["wait_until_hidden"] * 2 + ["run"] * 2


def test_a_hidden_grid_ends_with_its_first_failed_case_and_the_open_cases_have_no_outcome(tmp_path: Path) -> None:
    # Of the grid's other cases two have begun, and two have not.
    fails = DECLINES.replace("    return", "    assert n_device != 4\n    return")
    hidden = grid_from_mapping(grid_mapping() | {"hidden": True})
    told = []
    outcomes = run_grid(run_in(tmp_path, fails, hidden), 1, told.append)
    assert outcomes == told and [outcome.row["status"] for outcome in outcomes] == ["crashed"]
    assert multiprocessing.active_children() == []
    # A policy's words may be about the traces: they are for the log, which hidden phases hide.
    told = {"what": "crashed. Hidden traces: no more is told", "next": "run the policy with the kit (kit.py run)"}
    assert outcomes[0].row["failure"] == {"where": "call 1 (iteration 4)", "got": "", "expected": ""} | told
    assert "AssertionError" in outcomes[0].log.splitlines()[-1]


def test_a_failed_case_of_one_trace_ends_those_of_another_in_a_hidden_grid(tmp_path: Path) -> None:
    # The other trace's first call waits for a signal that never comes.
    source = DECLINES.replace("    return", "    import signal\n    while n_device == 2: signal.pause()\n    return")
    source = source.replace("    return", "    assert n_device != 8\n    return")
    grid = grid_from_mapping(grid_mapping() | {"hidden": True})
    outcomes = run_grid(run_in(tmp_path, source, grid), 2, lambda outcome: None)
    assert [(outcome.case.ep, outcome.row["status"]) for outcome in outcomes][-1] == (8, "crashed")
    assert {outcome.case.model for outcome in outcomes} == {"Large"}


def test_cases_that_stand_apart_in_the_grid_are_listed_in_its_order(tmp_path: Path) -> None:
    rows = grid_mapping()["cases"]
    apart = [rows[0] | {"ep": [4]}, rows[1] | {"ep": [4]}, rows[0] | {"ep": [2]}]
    run = run_in(tmp_path, grid=grid_from_mapping(grid_mapping() | {"cases": apart}))
    names = [outcome.case.name for outcome in run_grid(run, 2, lambda outcome: None)]
    assert names == ["Small/one ep 4", "Large/two ep 4", "Small/one ep 2"]


def test_a_finished_process_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []
    close = TraceProcess.close
    monkeypatch.setattr(TraceProcess, "close", lambda self: closed.append((close(self), self._process.exitcode)))
    run_grid(run_in(tmp_path), 2, lambda outcome: None)
    assert len(closed) == 2 and {code for _, code in closed} <= {0, -9} and multiprocessing.active_children() == []


def test_what_is_raised_at_the_end_of_a_case_ends_the_run_at_once(tmp_path: Path) -> None:
    told = []

    def finished(outcome: object) -> None:
        told.append(outcome)
        raise ValueError("nobody reads")

    hangs = DECLINES.replace(
        "    return", "    import signal\n    while hotness.shape[-1] == 8: signal.pause()\n    return"
    )
    with pytest.raises(ValueError, match="nobody reads"):
        run_grid(run_in(tmp_path, hangs, tiny_grid(call_seconds=2)), 2, finished)
    # The other trace's policy hangs: had it been waited for, its end would have been told, too.
    assert len(told) == 1 and multiprocessing.active_children() == []


def test_a_trace_s_process_that_cannot_start_leaves_none_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, start = [], TraceProcess.__init__

    def second_fails(process: TraceProcess, jobs: list[TraceJob]) -> None:
        started.append(jobs)
        if len(started) == 2:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        start(process, jobs)

    monkeypatch.setattr(TraceProcess, "__init__", second_fails)
    with pytest.raises(BlockingIOError):
        run_grid(run_in(tmp_path), 2, lambda outcome: None)
    assert len(started) == 2 and multiprocessing.active_children() == []


def test_traces_of_one_job_are_replayed_by_one_process_whose_policies_have_one_template(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used, run = [], TraceProcess.run
    monkeypatch.setattr(TraceProcess, "run", lambda self, *rest: (used.append(self), run(self, *rest))[1])
    says = "import os\nprint(os.getppid())\n" + textwrap.dedent(DECLINES)
    logs = {outcome.log for outcome in run_grid(run_in(tmp_path, says), 1, lambda outcome: None)}
    assert len(used) == 2 and used[0] is used[1] and len(logs) == 1


@pytest.mark.parametrize(
    ("weights", "jobs", "expected"),
    [
        ([5, 5, 5, 5, 3, 3, 3], 2, 15),
        ([3, 3, 3, 5, 5, 5, 5], 2, 15),
        ([1, 2, 3], 1, 6),
        ([1, 9, 1], 5, 9),
        ([1] * 50 + [9], 2, 30),
    ],
)
def test_traces_are_begun_in_an_order_in_which_all_jobs_end_early(weights: list[int], jobs: int, expected: int) -> None:
    found = order(weights, jobs)
    assert (found if jobs == 1 else sorted(found)) == list(range(len(weights)))
    free = [0] * jobs
    for number in found:
        free[free.index(min(free))] += weights[number]
    assert max(free) == expected
