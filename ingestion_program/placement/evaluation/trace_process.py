"""A process that replays traces, one after the other: it opens each once and runs the trace's cases."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Event
from typing import Any

from ..errors import OrganizerError
from ..grid import Case, Grid
from ..isolation.sandbox import hide_process
from ..isolation.template import Template
from ..trace import Hotness
from ..traces.files import Traces
from .case_run import Outcome, lost_case
from .interruption import JOIN_SECONDS, die_with_program
from .machine import lack
from .turns import run_cases

# What replaying and explaining may take after the grid's time is over.
GRACE_SECONDS = 60.0
# A fork is hidden from its first moment, as its parent is, and needs no helper process that a policy could look into.
METHOD = "fork" if sys.platform == "linux" else "spawn"


# What a process says of its trace.
OPENED = "opened"


@dataclass(frozen=True)
class Run:
    """What a run is of: the folder that holds policy.py, the grid, and its traces."""

    folder: Path
    grid: Grid
    traces: Traces


@dataclass(frozen=True)
class TraceJob:
    """All cases of one trace, for another process to run until a deadline."""

    run: Run
    cases: list[Case]
    deadline: float


class TraceProcess:
    """Starts at once, hides itself, and waits for `run`; use with contextlib.closing."""

    def __init__(self, jobs: Sequence[TraceJob]) -> None:
        """jobs: all that it may be asked to run, of one deadline."""
        self._jobs = jobs
        context = multiprocessing.get_context(METHOD)
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(jobs, other), daemon=True)
        self._process.start()
        other.close()

    def wait_until_hidden(self) -> None:
        """Return when the process cannot be looked into any more, or has ended."""
        self._receive()

    def run(self, number: int, finished: Callable[[Outcome], None], stop: Event) -> list[Outcome] | OrganizerError:
        """Run a job's cases and return their outcomes as they ended; a process that ends early fails those it owes.

        Once `stop` is set nothing more is waited for: whoever sets it closes this process.
        """
        job, outcomes = self._jobs[number], []
        open_cases = list(job.cases)
        with suppress(OSError):
            self._connection.send(number)
        opened = self._receive()
        if opened != OPENED and not stop.is_set():
            # No policy has begun: an end is the machine's.
            return opened or _lost_trace(job, self._process.exitcode)
        while open_cases and not stop.is_set():
            answer = self._receive()
            if stop.is_set():
                break
            answer = answer or lost_case(open_cases[0], job.run.grid, self._process.exitcode)
            if isinstance(answer, OrganizerError):
                return answer
            open_cases.remove(answer.case)
            outcomes.append(answer)
            finished(answer)
        return outcomes

    @property
    def ended(self) -> bool:
        """Whether it can run no more jobs."""
        return not self._process.is_alive()

    def end(self) -> None:
        """End the process at once, with its policies: whoever waits for an outcome gets none."""
        self._process.kill()

    def close(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.join(JOIN_SECONDS)
        self._connection.close()

    def _receive(self) -> Any:
        """The next message, or None when the process has ended; one that says nothing for too long is killed."""
        try:
            # A policy may have stopped that process, whose own clock then says nothing.
            if not self._connection.poll(max(0.0, self._jobs[0].deadline - time.monotonic()) + GRACE_SECONDS):
                self._process.kill()
            return self._connection.recv()
        except (EOFError, OSError):
            # An OSError means: it ended in the middle of a message.
            self._process.join(JOIN_SECONDS)
            return None


def _serve(jobs: Sequence[TraceJob], connection: Connection) -> None:
    # A keyboard's interrupt is for the ingestion program, with which this process ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    die_with_program()
    hide_process()
    connection.send("hidden")
    with suppress(EOFError), Template() as template:
        while (number := connection.recv()) is not None:
            _serve_job(jobs[number], template, connection)


def _serve_job(job: TraceJob, template: Template, connection: Connection) -> None:
    run = job.run

    def open_trace() -> Hotness:
        trace = run.traces.trace_of(job.cases[0])
        connection.send(OPENED)
        return trace

    try:
        for outcome in run_cases(run.folder, job.cases, open_trace, run.grid, job.deadline, template):
            connection.send(outcome)
    except OrganizerError as error:
        connection.send(error)
    except Exception as error:
        problem = lack(error) or _unknown(error)
        connection.send(problem.at(f"trace {job.cases[0].model}/{job.cases[0].dataset}"))


def _lost_trace(job: TraceJob, exit_code: int | None) -> OrganizerError:
    return OrganizerError(
        "the process that reads this trace ended",
        got=f"exit code {exit_code}",
        expected="an opened trace",
        next_step="look for used-up memory on the machine",
        where=f"trace {job.cases[0].model}/{job.cases[0].dataset}",
    )


def _unknown(error: Exception) -> OrganizerError:
    traceback.print_exception(error)
    got, next_step = f"{type(error).__name__}: {error}", "organizers find the reason in the log above"
    return OrganizerError("the simulator itself failed", got, "measured cases", next_step)
