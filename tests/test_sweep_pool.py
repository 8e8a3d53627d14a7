"""Jobs on any executor: a lost one is run again, a worker that lacks a trace is sent it, an error ends the rest."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from placement.errors import OrganizerError, sentence
from placement.grid import Case, Cost
from submissions import DECLINES, stored_hotness
from sweeps import trace_file as module
from sweeps.job import Job, JobLost, made_with, run_job
from sweeps.plan import Plan, Unit
from sweeps.pool import ATTEMPTS, run_all
from sweeps.trace_file import here, trace_file
from sweeps.variants import Variant
from traces.store import find

COST = Cost(60.0, 1000, 10**6)
CASE = Case("Small", "one", 2, 2, 2, 4, window=3, latency=0)


class Inline(Executor):
    """Runs at once, in the thread that submits."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


# Leaves a process that holds all that was open, and dies.
LEAVES = b"""
import os, signal
if os.fork() == 0:
    signal.pause()
os.kill(os.getpid(), 9)
"""


@pytest.fixture
def job(tmp_path: Path) -> Job:
    (tmp_path / "Small").mkdir()
    np.save(tmp_path / "Small" / "one.npy", stored_hotness("Small"))
    files = {"policy.py": DECLINES.encode()}
    trace, kept = trace_file(tmp_path, "Small", "one"), (tmp_path / "units", ({"unit": "one"},))
    return Job("declines", files, trace, (CASE,), COST, made_with(), *kept)


@pytest.mark.parametrize("error", [JobLost("gone"), BrokenExecutor("gone"), type("KilledWorker", (Exception,), {})()])
def test_a_lost_job_is_run_again(job: Job, error: Exception) -> None:
    tries: list[Job] = []

    def run(given: Job) -> list[dict[str, Any]]:
        tries.append(given)
        if len(tries) < ATTEMPTS:
            raise error
        return [{"status": "ok"}]

    ended: list[Any] = []
    run_all([job], Inline(), lambda *end: ended.append(end), run=run)
    assert tries == [job] * ATTEMPTS and ended == [(job, [{"status": "ok"}])]


def test_a_job_that_is_always_lost_has_rows_that_say_so_and_the_others_are_finished(job: Job) -> None:
    def run(given: Job) -> Any:
        if given.title == "declines":
            raise JobLost("ended by signal 9")
        return [{"status": "ok"}]

    ended: dict[str, Any] = {}
    jobs = [job, replace(job, title="other")]
    run_all(jobs, Inline(), lambda job, rows: ended.update({job.title: rows[0]}), run=run)
    assert ended["other"] == {"status": "ok"}
    assert (ended["declines"]["status"], ended["declines"]["mean_par"]) == ("crashed", None)
    assert sentence(ended["declines"]["failure"]) == (
        "the process of the policy's cases was lost. Got: JobLost: ended by signal 9. Expected: a process that lives "
        "on. Next: look for used-up memory, or for what in the policy ends processes."
    )


def test_an_executor_that_takes_no_more_jobs_ends_the_sweep(job: Job) -> None:
    class Broken(Executor):
        def submit(self, *arguments: Any) -> Any:
            raise BrokenExecutor("its workers ended")

    with pytest.raises(OrganizerError) as lost:
        run_all([job], Broken(), lambda *end: None)
    assert str(lost.value) == (
        "declines, Small/one: the workers of a job were lost. Got: BrokenExecutor: its workers ended. Expected: a "
        "worker that lives on. Next: look for used-up memory, and start the sweep again: it goes on."
    )


def test_a_worker_that_lacks_the_trace_is_sent_it_and_keeps_it(job: Job, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(module, "copies", lambda: tmp_path / "copies")
    elsewhere, given = replace(job.trace, folder=tmp_path / "nowhere"), []

    def run(sent: Job, content: Any = None) -> Any:
        given.append(content is not None)
        path = here(replace(sent.trace, folder=elsewhere.folder), content)
        return [{"path": path}] if path else None

    ended: list[Any] = []
    run_all([job], Inline(), lambda job, rows: ended.append(rows[0]["path"]), run=run)
    run_all([job], Inline(), lambda job, rows: ended.append(rows[0]["path"]), run=run)
    copy = tmp_path / "copies" / job.trace.sha256 / "trace.npy"
    assert given == [False, True, False] and ended == [copy, copy]
    np.testing.assert_array_equal(np.load(copy), stored_hotness("Small"))


def test_a_worker_takes_no_other_values_for_the_trace(job: Job, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(module, "copies", lambda: tmp_path / "copies")
    assert here(replace(job.trace, folder=tmp_path / "nowhere"), stored_hotness("Small") + 1) is None
    assert not (tmp_path / "copies").exists()


def test_a_job_is_measured_on_a_copy_as_on_the_file(job: Job, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(module, "copies", lambda: tmp_path / "copies")
    there = replace(job, trace=replace(job.trace, folder=tmp_path / "nowhere"))
    assert run_job(there) is None
    (copied,) = run_job(there, stored_hotness("Small"))
    (direct,) = run_job(job)
    assert copied | {"policy_seconds": 0} == direct | {"policy_seconds": 0}


def test_a_job_keeps_its_rows_where_the_folder_is_and_finds_them_when_it_runs_again(job: Job) -> None:
    job.units.mkdir()
    rows = run_job(job)
    assert find(job.units, *job.made_of) == rows[0]
    # Seconds that were measured again would differ.
    assert run_job(replace(job, files={"policy.py": b"raise OSError"})) == rows


def test_where_there_are_fewer_units_than_jobs_at_a_time_each_becomes_several_jobs(job: Job, tmp_path: Path) -> None:
    cases = tuple(replace(CASE, window=window) for window in (3, 4, 5))
    plan = Plan([Unit(Variant("declines", {}, job.files, "0"), job.trace, cases)], COST, tmp_path / "units")
    assert [job.cases for _, job in plan.missing(1)] == [cases]
    assert [job.cases for _, job in plan.missing(2)] == [(cases[0], cases[2]), (cases[1],)]
    assert len(plan.missing(4)) == 3


def test_a_worker_with_other_versions_is_refused(job: Job) -> None:
    with pytest.raises(OrganizerError) as refused:
        run_job(replace(job, made_with={**job.made_with, "numpy": "0.1"}))
    assert str(refused.value) == (
        f"sweep: a worker has other versions. Got: numpy {np.__version__}. Expected: numpy 0.1, as where the sweep was "
        "started. Next: make its environment the same."
    )


def test_a_trace_that_changed_is_an_error(job: Job) -> None:
    with pytest.raises(OrganizerError, match=r"^trace Small/one: the trace differs from when the "):
        run_job(replace(job, trace=replace(job.trace, sha256="0" * 64)))


def test_a_policy_s_process_that_dies_is_a_failed_case_whatever_it_left_behind(job: Job) -> None:
    files = {"policy.py": LEAVES}
    (row,) = run_job(replace(job, files=files))
    assert (row["status"], row["mean_par"], row["failure"]["got"]) == ("crashed", None, "exit code -9")


def test_what_a_job_raises_ends_the_others(job: Job) -> None:
    def run(given: Job) -> Any:
        raise OSError("no space")

    with ThreadPoolExecutor(1) as executor, pytest.raises(OSError, match="no space"):
        run_all([job] * 3, executor, lambda *end: None, run=run)


def test_the_job_s_program_dies_with_its_signal_and_counts_as_lost(job: Job, monkeypatch) -> None:
    monkeypatch.setattr("sweeps.job.BOOT", "import os; os.kill(os.getpid(), 9)")
    with pytest.raises(JobLost, match=r"^declines: ended by signal 9$"):
        run_job(job)
