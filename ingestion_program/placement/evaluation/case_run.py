"""One case: a replay against a policy in a process of its own, and what is left of it for the results."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..decisions import pack
from ..errors import PolicyError, sentence
from ..explain import CALLS, explain
from ..grid import Case, Grid
from ..isolation.neighbours import Neighbours
from ..isolation.process import PolicyProcess
from ..isolation.sandbox import LAYERS
from ..measuring import Measuring
from ..replay import steps
from ..results import MEASURES, identity, measures, series


@dataclass(frozen=True)
class Outcome:
    """What one case leaves: its row of results.json, curves, explanation and decisions when it is ok, its log,
    and the layers that isolated it."""

    case: Case
    row: dict[str, Any]
    series: dict[str, np.ndarray]
    explanation: dict[str, Any] | None
    log: str
    layers: tuple[str, ...] = ()
    decisions: dict[str, np.ndarray] = field(default_factory=dict)


def case_steps(
    folder: Path, case: Case, neighbours: Neighbours, grid: Grid, deadline: float, together: list[Measuring]
) -> Generator[int, None, Outcome]:
    """Replay one case against the policy in a fresh process, and return what is left of it.

    Yields 0 before the policy starts, when `neighbours` may yet lack the trace; and further on as replay.steps, which
    has the trace's cases measured together.
    Raises OrganizerError where the grid requires a layer of isolation that the machine lacks.
    """
    process = PolicyProcess(folder, case, neighbours, grid, deadline)
    measured, failure, hidden_words = None, None, ""
    try:
        with process:
            yield 0
            process.start()
            measured = yield from steps(neighbours.trace, case, process.rebalance, together)
    except PolicyError as error:
        # With its traceback it would hold this frame, and with that the trace, while the next trace is opened.
        failure = error.with_traceback(None)
        if grid.hidden:
            failure, hidden_words = _untold(error), sentence(error.fields(), case.name)
    trace = neighbours.trace
    numbers = measures(measured, trace) if measured else None
    row = _row(case, grid, trace.sha256, failure, numbers, process.seconds)
    curves, explanation = (series(measured), explain(measured, trace)) if measured else ({}, None)
    log = "\n".join(text for text in (process.log, hidden_words) if text)
    decisions = pack(measured) if measured else {}
    return Outcome(case, row, curves, explanation, log, tuple(process.layers), decisions)


def active_layers(outcomes: list[Outcome]) -> list[str]:
    """The layers that isolated the policy in every case that began."""
    began = [outcome.layers for outcome in outcomes if outcome.layers]
    return [layer for layer in LAYERS if began and all(layer in layers for layers in began)]


def lost_case(case: Case, grid: Grid, exit_code: int | None) -> Outcome:
    """The outcome of a case whose process ended, or was ended, before it was measured."""
    error = PolicyError(
        "crashed",
        "the process that replays this trace ended",
        got=f"exit code {exit_code}",
        expected="a measured case",
        next_step="look for used-up memory on the machine, or for a policy that kills processes",
    )
    return Outcome(case, _row(case, grid, None, error, None, []), {}, None, "")


def _untold(error: PolicyError) -> PolicyError:
    """What is told of hidden traces: the page is open to the participant, and most of the words are the policy's."""
    what = f"{error.status}. Hidden traces: no more is told"
    return PolicyError(error.status, what, "", "", "run the policy with the kit (kit.py run)", ", ".join(error.where))


def _row(
    case: Case,
    grid: Grid,
    trace_sha256: str | None,
    failure: PolicyError | None,
    numbers: dict[str, Any] | None,
    seconds: list[float],
) -> dict[str, Any]:
    timing = {
        "policy_seconds": round(sum(seconds), 3),
        "slowest_call_seconds": round(max(seconds[1:], default=0.0), 3),
        "call_seconds": [round(call, 3) for call in seconds[1 : CALLS + 1]],
    }
    head = identity(case, grid.cost, trace_sha256) | {"status": failure.status if failure else "ok"}
    # The place is inside the case, which the row itself names.
    return head | (numbers or dict.fromkeys(MEASURES)) | timing | {"failure": failure and failure.fields()}
