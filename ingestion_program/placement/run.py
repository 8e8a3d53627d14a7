"""Runs a grid: one process per trace, in it the trace's cases, each with a policy process of its own."""

from __future__ import annotations

import multiprocessing
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from .errors import OrganizerError, PolicyError
from .explain import explain
from .grid import Case, Grid
from .policy_process import PolicyProcess
from .replay import Replay, replay
from .results import identity, measures, series
from .sandbox import die_with_parent, hide_process
from .trace import Trace, check_fits, find_trace, open_trace

# What replaying and explaining may take after the grid's time is over.
GRACE_SECONDS = 60.0


@dataclass(frozen=True)
class Outcome:
    """What one case leaves: its row of results.json, curves and explanation when it is ok, and the log."""

    row: dict[str, Any]
    series: dict[str, np.ndarray]
    explanation: dict[str, Any] | None
    log: str


@dataclass(frozen=True)
class Job:
    """All cases of one trace, and what is needed to run them in another process."""

    folder: Path
    traces: Path
    manifest: Mapping[str, Any] | None
    grid: Grid
    cases: list[Case]
    deadline: float


def run_grid(
    folder: Path,
    traces: Path,
    manifest: Mapping[str, Any] | None,
    grid: Grid,
    jobs: int,
    finished: Callable[[Outcome], None],
) -> list[Outcome]:
    """Run every case, at most `jobs` traces at a time; outcomes in the grid's order, whatever `jobs` is.

    folder holds policy.py; `finished` is called for each case as it ends, from several threads.
    Raises OrganizerError, once everything has ended, when a trace cannot be used.
    """
    groups = grid.by_trace()
    for cases in groups:
        find_trace(traces, cases[0].model, cases[0].dataset)
    deadline = time.monotonic() + grid.limits.grid_seconds
    work = [Job(folder, traces, manifest, grid, cases, deadline) for cases in groups]
    with ThreadPoolExecutor(jobs) as pool:
        answers = list(pool.map(lambda job: _in_process(job, finished), work))
    for answer in answers:
        if isinstance(answer, OrganizerError):
            raise answer
    return [outcome for outcomes in answers for outcome in outcomes]


def run_case(folder: Path, case: Case, trace: Trace, grid: Grid, deadline: float) -> Outcome:
    """Replay one case against the policy in a fresh process."""
    process = PolicyProcess(folder, case, trace, grid, deadline)
    measured, status, message = None, "ok", ""
    try:
        with process:
            process.start()
            measured = replay(trace, case, process.rebalance)
    except PolicyError as error:
        status, message = error.status, str(error.at(case.name))
    row = _row(case, grid, trace.sha256, status, message, measured, process.seconds)
    if not measured:
        return Outcome(row, {}, None, process.log)
    return Outcome(row, series(measured), explain(measured, trace), process.log)


def _run_trace(job: Job) -> Iterator[Outcome]:
    first = job.cases[0]
    trace = open_trace(job.traces, first.model, first.dataset, job.manifest)
    name = f"trace {first.model}/{first.dataset}"
    check_fits(trace, name, first.layers, first.experts, first.window)
    for case in job.cases:
        yield run_case(job.folder, case, trace, job.grid, job.deadline)


def _send_outcomes(job: Job, sender: Connection) -> None:
    # A keyboard's interrupt is for the ingestion program, with which this process ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    die_with_parent()
    hide_process()
    try:
        for outcome in _run_trace(job):
            sender.send(outcome)
    except OrganizerError as error:
        sender.send(error)
    except Exception as error:
        traceback.print_exc()
        sender.send(
            OrganizerError(
                "the simulator itself failed",
                got=f"{type(error).__name__}: {error}",
                expected="measured cases",
                next_step="organizers find the reason in the log above",
                where=f"trace {job.cases[0].model}/{job.cases[0].dataset}",
            )
        )


def _in_process(job: Job, finished: Callable[[Outcome], None]) -> list[Outcome] | OrganizerError:
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send_outcomes, args=(job, sender), daemon=True)
    process.start()
    sender.close()
    outcomes: list[Outcome] = []
    while len(outcomes) < len(job.cases):
        try:
            # A policy may have stopped that process, whose own clock then says nothing.
            if not receiver.poll(max(0.0, job.deadline - time.monotonic()) + GRACE_SECONDS):
                process.kill()
            answer = receiver.recv()
        except (EOFError, OSError):
            # An OSError means: it ended in the middle of a message.
            process.join()
            answer = _lost(job, job.cases[len(outcomes)], process.exitcode)
        if isinstance(answer, OrganizerError):
            return answer
        outcomes.append(answer)
        finished(answer)
    process.join()
    return outcomes


def _lost(job: Job, case: Case, exit_code: int | None) -> Outcome:
    error = PolicyError(
        "crashed",
        "the process that replays this trace ended",
        got=f"exit code {exit_code}",
        expected="a measured case",
        next_step="look for used-up memory on the machine, or for a policy that kills processes",
        where=case.name,
    )
    return Outcome(_row(case, job.grid, None, error.status, str(error), None, []), {}, None, "")


def _row(
    case: Case,
    grid: Grid,
    trace_sha256: str | None,
    status: str,
    message: str,
    measured: Replay | None,
    seconds: list[float],
) -> dict[str, Any]:
    timing = {
        "policy_seconds": round(sum(seconds), 3),
        "slowest_call_seconds": round(max(seconds[1:], default=0.0), 3),
    }
    head = identity(case, grid.cost, trace_sha256) | {"status": status}
    return head | measures(measured) | timing | {"message": message}
