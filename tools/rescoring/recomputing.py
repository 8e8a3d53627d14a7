"""Runs' cases, replayed from their logs: trace by trace, several runs at the same time."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from placement.decisions import replay_decisions, sizes_of
from placement.errors import OrganizerError, Problem
from placement.evaluation.decision_log import FILE, read_decisions
from placement.evaluation.trace_process import METHOD
from placement.grid import Case, Cost, Grid
from placement.results import identity, measures
from placement.trace import Hotness
from placement.traces.files import TraceFolder
from rescoring.differences import Difference, difference
from rescoring.stored_runs import StoredRun, stored_curves
from traces.reference_parts import begin_process


@dataclass(frozen=True)
class Recomputed:
    """A case as its log gives it: its row, where the stored one differs, whether that was measured on this very trace,
    or why the log gives nothing."""

    row: dict[str, Any] | None
    difference: Difference | None = None
    same_trace: bool = True
    problem: str = ""


@dataclass(frozen=True)
class Job:
    """A run's rows of one trace; grid: whose cases and costs count in place of the results' own, if any."""

    run: int
    folder: Path
    rows: list[dict[str, Any]]
    traces: TraceFolder
    grid: Grid | None


# The trace that this process had last: jobs come trace by trace.
_held: dict[tuple[str, str], Hotness] = {}


def recompute(
    runs: Sequence[StoredRun], traces: TraceFolder, grid: Grid | None, jobs: int, show: Callable[[str], None]
) -> list[list[Recomputed]]:
    """For each run its cases, in the order of its rows, or of the grid where there is one.

    show: called with a line per finished trace. Raises OrganizerError where a trace cannot be used.
    """
    work: dict[tuple[str, str], list[Job]] = {}
    for number, run in enumerate(runs):
        for name, rows in _by_trace(run, grid).items():
            work.setdefault(name, []).append(Job(number, run.folder, rows, traces, grid))
    found: list[dict[str, Recomputed]] = [{} for _ in runs]
    context = multiprocessing.get_context(METHOD)
    with ExitStack() as stack:
        answers_of = map
        if jobs > 1:
            answers_of = stack.enter_context(ProcessPoolExecutor(jobs, context, initializer=begin_process)).map
        try:
            for done, (name, of_trace) in enumerate(work.items(), 1):
                for job, answers in zip(of_trace, answers_of(recompute_rows, of_trace), strict=True):
                    found[job.run].update(answers)
                show(f"[{done}/{len(work)}] {'/'.join(name)}: {len(of_trace)} runs")
        except BrokenProcessPool:
            got, expected = f"no result with --jobs {jobs}", "memory for two copies of a trace in each process"
            what = "another program ended a process that replayed a trace"
            raise OrganizerError(what, got, expected, "use a smaller --jobs", "rescore") from None
    _held.clear()
    order = [case.key for case in grid.cases] if grid else None
    return [[cases[key] for key in (order or cases) if key in cases] for cases in found]


def recompute_rows(job: Job) -> dict[str, Recomputed]:
    """The cases of one run on one trace, by key. Raises OrganizerError where the trace cannot be used."""
    name = job.rows[0]["model"], job.rows[0]["dataset"]
    if name not in _held:
        _held.clear()
        _held[name] = job.traces.open(*name, job.rows[0]["window"])
    trace = _held[name]
    answers = {}
    for row in job.rows:
        case, cost = case_of(row, trace, job.grid)
        try:
            answers[case.key] = _recompute(job.folder, row, case, cost, trace)
        except Problem as error:
            answers[case.key] = Recomputed(None, problem=str(error.at(case.name)))
    return answers


def case_of(row: dict[str, Any], trace: Hotness, grid: Grid | None) -> tuple[Case, Cost]:
    """The case of a row and its costs: the grid's, or what the row says."""
    named = ("model", "dataset", "ep", "redundant_experts")
    if grid:
        wanted = [row[field] for field in named]
        return next(case for case in grid.cases if [getattr(case, field) for field in named] == wanted), grid.cost
    told = {field: row[field] for field in (*named, "window", "latency", "groups", "nodes")}
    return Case(layers=trace.layers, experts=trace.experts, **told), Cost(**row["cost"])


def _recompute(folder: Path, row: dict[str, Any], case: Case, cost: Cost, trace: Hotness) -> Recomputed:
    sizes, decisions = read_decisions(folder, case.key)
    expected = sizes_of(case, trace.iterations)
    if sizes != expected:
        next_step = (
            "name the traces that the run was measured on, or traces of the same shape; else run the policy again"
        )
        raise OrganizerError("the log of decisions has other sizes", str(sizes), str(expected), next_step, FILE)
    measured = replay_decisions(trace, case, decisions)
    numbers = measures(measured, trace)
    new = identity(case, cost, trace.sha256) | {"status": "ok"} | numbers
    apart = difference(row, stored_curves(folder, case.key), measured, numbers)
    return Recomputed(new, apart, row["trace_sha256"] == trace.sha256)


def _by_trace(run: StoredRun, grid: Grid | None) -> dict[tuple[str, str], list[dict[str, Any]]]:
    names = {(case.model, case.dataset, case.ep, case.redundant_experts) for case in grid.cases} if grid else None
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in run.rows:
        if names is None or (row["model"], row["dataset"], row["ep"], row["redundant_experts"]) in names:
            groups.setdefault((row["model"], row["dataset"]), []).append(row)
    return groups
