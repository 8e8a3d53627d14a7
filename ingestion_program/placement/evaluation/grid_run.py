"""Runs a grid: processes that replay traces, and for each case of a trace a policy process of its own."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

from ..errors import OrganizerError
from .case_run import Outcome
from .interruption import results_of
from .order import order, weight
from .trace_process import Run, TraceJob, TraceProcess


def run_grid(run: Run, jobs: int, finished: Callable[[Outcome], None]) -> list[Outcome]:
    """Run every case, at most `jobs` traces at a time; outcomes in the grid's order, whatever `jobs` is.

    A hidden grid ends with the first failed case: those that have not ended by then have no outcome.
    `finished` is called for each case as it ends, from several threads; what it raises ends the run. Raises
    OrganizerError, once everything has ended, when a trace cannot be used, and where the grid requires a layer of
    isolation that the machine lacks.
    """
    grid, groups = run.grid, run.grid.by_trace()
    for cases in groups:
        run.traces.check(cases[0].model, cases[0].dataset)
    deadline = time.monotonic() + grid.limits.grid_seconds
    processes: list[TraceProcess] = []
    stop = threading.Event()

    def end_all() -> None:
        stop.set()
        for process in processes:
            process.end()

    def end_of_case(outcome: Outcome) -> None:
        finished(outcome)
        if grid.hidden and outcome.row["status"] != "ok":
            end_all()

    def outcomes_of(number: int) -> list[Outcome] | OrganizerError:
        process = idle.pop()
        try:
            return process.run(number, end_of_case, stop)
        except BaseException:
            # Such as a log that takes no more: nobody waits for what the others measure.
            end_all()
            raise
        finally:
            # Used again: what its policies are forked from is there.
            if not process.ended:
                idle.append(process)

    traces = [TraceJob(run, cases, deadline) for cases in groups]
    with ExitStack() as started:
        # As many as traces: whatever ends one of them, there is another one for the next trace.
        for _ in traces:
            processes.append(started.enter_context(closing(TraceProcess(traces))))
        # No policy may run before all processes that are to hold traces have closed themselves to others.
        for process in processes:
            process.wait_until_hidden()
        idle, begun = processes.copy(), order([weight(cases) for cases in groups], jobs)
        with ThreadPoolExecutor(jobs) as pool:
            try:
                answers = results_of([pool.submit(outcomes_of, number) for number in begun])
            finally:
                # Before the pool waits for its threads: one may have not been started.
                end_all()
    for _, answer in sorted(zip(begun, answers, strict=True), key=lambda pair: pair[0]):
        if isinstance(answer, OrganizerError):
            raise answer
    outcomes = {outcome.case: outcome for answer in answers for outcome in answer}
    return [outcomes[case] for case in grid.cases if case in outcomes]


def cores() -> int:
    """The processors that this process may use: fewer than the machine's where a container is held to some."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
