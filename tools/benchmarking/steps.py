"""Where the processor seconds of a run go: the steps of one trace's cases, each measured by itself."""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarking.boundary import start_bare
from benchmarking.clock import children_seconds, median_seconds
from benchmarking.kernel import ds_eplb_answers
from benchmarking.whole_grid import POLICY, ROOT
from placement.decisions import pack
from placement.evaluation.clock import Clock
from placement.evaluation.findings import Findings, write
from placement.evaluation.signature import PUBLISHED_KEY
from placement.evaluation.turns import run_cases
from placement.explain import explain
from placement.grid import Case, Grid
from placement.isolation.handover import share_window
from placement.isolation.template import Template
from placement.replay import Replay, replay, steps
from placement.results import measures, series
from placement.shifts import KEPT
from placement.trace import Hotness, Trace, trace_sha256
from placement.traces.files import TraceFolder

READY_SECONDS = 60.0
PROGRAM = (sys.executable, str(ROOT / "ingestion_program" / "ingestion.py"), "--help")


def step_costs(folder: Path, grid: Grid, cases: list[Case], times: int, run_seconds: float) -> list[dict[str, Any]]:
    """A row per step of DS-EPLB's run on all cases of a trace: its processor seconds, about in the order of a run.

    run_seconds: of the whole run, which has the last row; what no step explains stands before it. Raises
    OrganizerError.
    """
    traces = TraceFolder(folder)
    trace = traces.trace_of(cases[0])
    stored = trace.window(0, trace.iterations)
    hashing = median_seconds(lambda: trace_sha256(stored), times)
    laying = median_seconds(lambda: Trace(stored, narrow=True), times) - hashing
    opening = median_seconds(lambda: traces.trace_of(cases[0]), times) - hashing - laying
    answers = [ds_eplb_answers(trace, case) for case in cases]
    measured = [replay(trace, case, _answering(given)) for case, given in zip(cases, answers, strict=True)]
    calls = sorted({call for one in measured for call in one.calls})
    bare, program, template = (_median_of_children(run, times) for run in (start_bare, _program, _begin_template))
    outcomes = []

    def run() -> None:
        outcomes[:] = run_cases(POLICY, cases, lambda: trace, grid, time.monotonic() + grid.limits.grid_seconds)

    policies = _median_of_children(run, times)
    seconds = {
        "Python and numpy, bare": bare,
        "the program's start, above bare": program - bare,
        "the template of the policies, in full": template,
        "the trace: read": opening,
        "the trace: hashed": hashing,
        "the trace: checked and laid out": laying,
        "windows: written for the policies": median_seconds(lambda: _share(trace, grid.window, calls), times),
        "policies: forked, called, ended": policies - template,
        "replays": median_seconds(lambda: _replay_all(trace, cases, answers), times),
        "figures, curves, explanations, decisions": median_seconds(lambda: _explain_all(trace, measured), times),
        "results: written": median_seconds(lambda: _write(Findings(outcomes=outcomes, grid=grid)), times),
    }
    seconds["all else: waiting, messages, limits"] = run_seconds - sum(seconds.values())
    return [
        {"step": step, "milliseconds": value * 1000, "part_percent": round(100 * value / run_seconds)}
        for step, value in (seconds | {"the run": run_seconds}).items()
    ]


def _median_of_children(act: Callable[[], object], times: int) -> float:
    """Median processor seconds of the processes that `act` starts and waits for."""
    seconds = []
    for _ in range(times):
        before = children_seconds()
        act()
        seconds.append(children_seconds() - before)
    return statistics.median(seconds)


def _program() -> None:
    subprocess.run(PROGRAM, check=True, stdout=subprocess.DEVNULL)


def _begin_template() -> None:
    """Start a template, and end it when it has forked once: then it is ready."""
    here, there = socket.socketpair()
    with Template() as template, here, there, open(os.devnull, "wb") as nothing:
        descriptors = [there.fileno(), nothing.fileno(), nothing.fileno()]
        child = template.fork(descriptors, READY_SECONDS)
        there.close()
        here.close()
        child.wait()


def _answering(answers: dict[int, Any]) -> Callable[..., Any]:
    return lambda start, stop, deployment, iteration: answers[iteration]


def _share(trace: Hotness, window: int, calls: Sequence[int]) -> None:
    for call in calls:
        os.close(share_window(trace, call - window, call))


def _replay_all(trace: Hotness, cases: Sequence[Case], answers: Sequence[dict[int, Any]]) -> None:
    """Replay all cases as a run does: measured together, once the last one has come to the trace's end."""
    together: list[Any] = []
    turns = [steps(trace, case, _answering(given), together) for case, given in zip(cases, answers, strict=True)]
    for turn in turns:
        while next(turn) <= trace.iterations:
            pass
    for turn in turns:
        next(turn, None)


def _explain_all(trace: Hotness, measured: Sequence[Replay]) -> None:
    KEPT.clear()
    for one in measured:
        measures(one, trace)
        series(one)
        explain(one, trace)
        pack(one)


def _write(findings: Findings) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), findings, Clock(), PUBLISHED_KEY)
