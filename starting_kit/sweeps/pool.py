"""Runs jobs on an executor of concurrent.futures, whichever it is: what a lost worker owes is run again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ThreadPoolExecutor,
    wait,
)
from typing import Any

from placement.errors import OrganizerError

from .job import Job, JobLost, end_jobs, run_job
from .trace_file import stored_values

ATTEMPTS = 3
# Python looks at a signal that came just before a wait when that is over: so none is long.
WAIT_SECONDS = 0.5
ENDINGS = 5
# What a cluster's scheduler raises when the workers of a job were lost again and again.
LOST_NAMES = ("KilledWorker", "FutureCancelledError", "CommClosedError")
Rows = list[dict[str, Any]]


def processes(jobs: int) -> Executor:
    """An executor of this machine: at most `jobs` at a time, each of which starts a process of its own."""
    return ThreadPoolExecutor(jobs)


def run_all(
    jobs: Sequence[Job],
    executor: Executor,
    finished: Callable[[Job, Rows], None],
    tick: Callable[[], None] = lambda: None,
    run: Callable[..., Rows | None] = run_job,
) -> None:
    """Run jobs; `finished` is called here with each job and its rows as it ends, `tick` now and then.

    A job whose process or worker was lost is run again, up to ATTEMPTS times in all; then its rows are job.lost(). A
    worker that lacks a trace is sent it, and keeps it. Whatever is raised, and an interrupt, ends what runs on this
    machine and takes back the rest. Raises OrganizerError, and what `finished` raises.
    """
    # Each with the attempts that were lost, and whether the trace was sent along.
    pending: dict[Future[Rows | None], tuple[Job, int, bool]] = {}
    sent: dict[str, Any] = {}
    try:
        for job in jobs:
            pending[_submit(executor, run, job)] = (job, 0, False)
        while pending:
            done, _ = wait(pending, WAIT_SECONDS, FIRST_COMPLETED)
            tick()
            for future in done:
                job, lost, with_trace = pending.pop(future)
                try:
                    rows = future.result()
                except Exception as error:
                    if not _is_lost(error):
                        raise
                    if with_trace:
                        # It may have been lost with the worker that held it.
                        sent.clear()
                    if lost + 1 < ATTEMPTS:
                        pending[_submit(executor, run, job)] = (job, lost + 1, False)
                    else:
                        finished(job, job.lost(error))
                    continue
                if rows is not None:
                    finished(job, rows)
                    continue
                if with_trace:
                    raise OrganizerError(
                        "a trace changed while it was read",
                        f"another hash than {job.trace.sha256}",
                        "the trace with which the sweep began",
                        "start the sweep again",
                        job.trace.name,
                    )
                if job.trace.sha256 not in sent:
                    sent = {job.trace.sha256: _sendable(executor, stored_values(job.trace))}
                pending[_submit(executor, run, job, sent[job.trace.sha256])] = (job, lost, True)
    except BaseException:
        _end(pending)
        raise


def _sendable(executor: Executor, values: Any) -> Any:
    """The values as an argument of several jobs: of Dask a future, which each worker fetches once."""
    client = getattr(executor, "_client", None)
    return client.scatter(values) if hasattr(client, "scatter") else values


def _submit(executor: Executor, run: Callable[..., Rows | None], job: Job, *content: Any) -> Future[Rows | None]:
    try:
        return executor.submit(run, job, *content)
    except BrokenExecutor as error:
        raise _given_up(job, error) from None


def _end(pending: Mapping[Future[Rows | None], Any]) -> None:
    for future in pending:
        future.cancel()
    for _ in range(ENDINGS):
        # Again, as a thread may have been about to start a process.
        end_jobs()
        if not wait(pending, WAIT_SECONDS / ENDINGS).not_done:
            break


def _is_lost(error: Exception) -> bool:
    lost = (JobLost, BrokenExecutor, CancelledError)
    return isinstance(error, lost) or type(error).__name__ in LOST_NAMES


def _given_up(job: Job, error: Exception) -> OrganizerError:
    got = f"{type(error).__name__}: {error}".rstrip(": ")
    expected, next_step = "a worker that lives on", "look for used-up memory, and start the sweep again: it goes on"
    return OrganizerError("the workers of a job were lost", got, expected, next_step, f"{job.title}, {job.trace.name}")
