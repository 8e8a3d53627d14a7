"""The findings of a run: collected while the run goes on, then written for the scorer and printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import Problem, sentence
from ..grid import Grid
from .case_run import Outcome, active_layers
from .clock import Clock
from .result_files import write_results
from .versions import versions

EXIT_CODES = {"scored": 0, "failed": 1, "refused": 1, "data_unavailable": 2}


@dataclass
class Findings:
    """The findings of a run: the submission's status, the failure that kept the grid from running, notes, the receipt
    once a policy was found, and the outcome of each case that ran.
    """

    status: str = "failed"
    failure: Problem | None = None
    notes: list[str] = field(default_factory=list)
    grid: Grid | None = None
    receipt: dict[str, str] = field(default_factory=dict)
    outcomes: list[Outcome] = field(default_factory=list)


def write(output: Path, findings: Findings, clock: Clock, key: bytes) -> None:
    """Write and sign the result files."""
    outcomes, grid = findings.outcomes, findings.grid
    named = [(outcome.case.key, outcome) for outcome in outcomes]
    curves = {f"{case}/{name}": array for case, outcome in named for name, array in outcome.series.items()}
    decisions = {f"{case}/{name}": array for case, outcome in named for name, array in outcome.decisions.items()}
    explanations = {case: outcome.explanation for case, outcome in named if outcome.explanation}
    content = {
        "status": findings.status,
        "failure": findings.failure and findings.failure.fields(),
        "notes": findings.notes,
        "grid": grid and described(grid),
        "sandbox": grid and {"mode": grid.sandbox, "layers": active_layers(outcomes)},
        "cases": [outcome.row for outcome in outcomes],
        "versions": versions(),
    }
    if findings.receipt:
        content["receipt"] = findings.receipt
    write_results(output, content, curves, explanations, decisions, clock.times, key)


def described(grid: Grid) -> dict[str, Any]:
    """The grid's entry in results.json."""
    measured = {"name": grid.name, "window": grid.window, "latency": grid.latency}
    # The page shows nothing of hidden traces but numbers of whole cases.
    measured |= {"case_seconds": grid.limits.case_seconds, "hidden": grid.hidden}
    # The scorer, which sees no grid, holds the worker's record against it.
    return measured | {"container_seconds": grid.container_seconds}


def report(findings: Findings) -> None:
    """Print what failed and why. Raises CannotPrint."""
    failed = [outcome for outcome in findings.outcomes if outcome.row["status"] != "ok"]
    # A mistake often fails all cases alike: its sentence is read once.
    for first, *others in _alike(failed):
        print(f"{first.row['status']}: {sentence(first.row['failure'], first.case.name)}", flush=True)
        if others:
            print(f"{first.row['status']}: the same in {', '.join(one.case.name for one in others)}", flush=True)
    said = [f"ingestion: {findings.status}"]
    if findings.failure:
        said.append(str(findings.failure))
    elif failed:
        cases = len(findings.grid.cases)
        left = cases - len(findings.outcomes)
        said.append(
            f"{len(failed)} of {cases} cases failed" + f"; {left} others were stopped at the first failure" * (left > 0)
        )
    print(": ".join(said), flush=True)


def _alike(failed: Sequence[Outcome]) -> list[list[Outcome]]:
    """The failed outcomes with the same status and the same failure, together, in order of the first."""
    groups: dict[tuple[str, ...], list[Outcome]] = {}
    for outcome in failed:
        groups.setdefault((outcome.row["status"], *outcome.row["failure"].values()), []).append(outcome)
    return list(groups.values())
