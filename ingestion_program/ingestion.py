"""Ingestion: runs a submission's policy over a grid of cases and writes what the scorer needs.

    python ingestion.py --submission DIR --traces DIR --grid FILE --output DIR --jobs N

Exit code 0: every case was measured. 1: a case failed, or the submission was refused. 2: the organizer's error.
results.json is written and signed in every case. Without options the paths are Codabench's mounts.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from placement.case_run import Outcome, active_layers
from placement.errors import OrganizerError, SubmissionRefused
from placement.grid import Grid, grid_from_mapping
from placement.keys import take_key
from placement.receipt import receipt, receipt_line
from placement.result_files import FILES, write_results
from placement.results import Clock, versions
from placement.run import run_grid
from placement.sandbox import hide_process
from placement.signature import PUBLISHED_KEY, signing_key
from placement.submission import find_policy
from progress import Progress, end_when_interrupted, temporary_folder

PROGRAM = Path(__file__).resolve().parent
PLATFORM_OUTPUT = Path("/app/output")
PLATFORM_TRACES = Path("/app/data")


@dataclass
class Findings:
    """What a run has to say: the submission's status, a receipt once a policy was found, and an outcome per case once
    the grid was run.
    """

    status: str = "failed"
    message: str = ""
    notes: list[str] = field(default_factory=list)
    grid: Grid | None = None
    receipt: dict[str, str] = field(default_factory=dict)
    outcomes: list[Outcome] = field(default_factory=list)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    options, clock = parse(arguments), Clock()
    try:
        return run(options, clock)
    except OSError as error:
        problem = OrganizerError(
            "the output cannot be written",
            got=f"{type(error).__name__}: {error}",
            expected="a folder with room for the results",
            next_step="free space, or name another --output",
            where="ingestion",
        )
        print(problem, flush=True)
        return 2


def run(options: argparse.Namespace, clock: Clock) -> int:
    """Run the grid, write what there is to say of it, and return the exit code."""
    key, trace_key, no_key = PUBLISHED_KEY, None, None
    try:
        # First of all: nothing of the submission's may find a key.
        trace_key = take_key(PROGRAM / "keys" / "trace.key")
        key = signing_key(PROGRAM)
    except OrganizerError as error:
        no_key = error
    clear(options.output)
    print("versions: " + ", ".join(f"{name} {version}" for name, version in versions().items()), flush=True)
    findings = Findings()
    try:
        if no_key:
            raise no_key
        measure(options, findings, trace_key)
    except SubmissionRefused as error:
        findings.status, findings.message = "refused", str(error)
    except OrganizerError as error:
        findings.status, findings.message = "data_unavailable", str(error)
    except Exception:
        traceback.print_exc()
        findings.status = "data_unavailable"
        findings.message = "the ingestion program itself failed; organizers find the reason in its log"
    write(options.output, findings, clock, key)
    return report(findings)


def measure(options: argparse.Namespace, findings: Findings, key: bytes | None) -> None:
    """Run the grid and add to the findings step by step; key opens sealed traces.

    Raises SubmissionRefused and OrganizerError.
    """
    findings.grid = grid = grid_from_mapping(read_yaml(options.grid, "grid"))
    traces = options.traces or platform_traces(grid.name)
    manifest = read_manifest(traces, findings.notes)
    folder, note = find_policy(options.submission)
    findings.receipt = receipt(folder, grid)
    print(receipt_line(findings.receipt), flush=True)
    findings.notes += [note] if note else []
    for text in findings.notes:
        print(f"note: {text}", flush=True)
    with temporary_folder():
        findings.outcomes = run_grid(folder, traces, manifest, grid, options.jobs, Progress(len(grid.cases)), key)
    print(f"sandbox: {grid.sandbox}, active: {', '.join(active_layers(findings.outcomes)) or 'none'}", flush=True)
    failed = [outcome for outcome in findings.outcomes if outcome.row["status"] != "ok"]
    findings.status = "failed" if failed else "scored"
    if failed:
        left = len(grid.cases) - len(findings.outcomes)
        findings.message = f"{len(failed)} of {len(grid.cases)} cases failed" + f", {left} were not begun" * (left > 0)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the options; their defaults are the platform's mounts."""
    parser = argparse.ArgumentParser(description="Run a policy over a grid of cases.")
    parser.add_argument("--submission", type=Path, default=Path("/app/ingested_program"), help="holds policy.py")
    parser.add_argument(
        "--traces",
        type=Path,
        help=f"holds <model>/<dataset>.npy (default: {PLATFORM_TRACES}/<grid's name>, or {PLATFORM_TRACES})",
    )
    parser.add_argument("--grid", type=Path, default=PROGRAM / "grid.yaml")
    parser.add_argument("--output", type=Path, default=PLATFORM_OUTPUT)
    parser.add_argument(
        "--jobs", type=int, default=cores(), help="traces replayed at the same time (default: all cores)"
    )
    options = parser.parse_args(arguments)
    if options.jobs < 1:
        parser.error(f"--jobs must be at least 1, got {options.jobs}")
    return options


def cores() -> int:
    """The processors that this process may use: fewer than the machine's where a container is held to some."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def clear(output: Path) -> None:
    """Make the output folder and remove old results; on the platform everything, which fills it beforehand."""
    output.mkdir(parents=True, exist_ok=True)
    for path in output.iterdir():
        if output == PLATFORM_OUTPUT and path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif output == PLATFORM_OUTPUT or path.name in FILES:
            path.unlink()


def platform_traces(grid_name: str) -> Path:
    """The traces' folder on a worker: one named after the grid, or the data directory itself."""
    named = PLATFORM_TRACES / grid_name
    return named if named.is_dir() else PLATFORM_TRACES


def read_yaml(path: Path, name: str) -> Any:
    """Read a YAML file of the organizer's. Raises OrganizerError."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise OrganizerError(
            f"the {name} cannot be read",
            got=f"{type(error).__name__}: {' '.join(str(error).split())}",
            expected=f"a YAML file {path}",
            next_step="correct the path or the file",
            where=name,
        ) from None


def read_manifest(traces: Path, notes: list[str]) -> Any:
    """The manifest beside the traces, or None with a note where there is none."""
    path = traces / "manifest.yaml"
    if path.is_file():
        # An empty manifest lists no trace; it must not switch the comparison off.
        return read_yaml(path, "manifest") or {}
    notes.append(f"no manifest.yaml in {traces}: only the reference can tell whether these are the right traces")
    return None


def write(output: Path, findings: Findings, clock: Clock, key: bytes) -> None:
    """Write what was found, and sign it."""
    outcomes, grid = findings.outcomes, findings.grid
    named = [("{model}/{dataset}/{ep}".format_map(outcome.row), outcome) for outcome in outcomes]
    curves = {f"{case}/{name}": array for case, outcome in named for name, array in outcome.series.items()}
    explanations = {case: outcome.explanation for case, outcome in named if outcome.explanation}
    content = {
        "status": findings.status,
        "message": findings.message,
        "notes": findings.notes,
        "grid": grid and described(grid),
        "sandbox": grid and {"mode": grid.sandbox, "layers": active_layers(outcomes)},
        "cases": [outcome.row for outcome in outcomes],
        "versions": versions(),
    }
    if findings.receipt:
        content["receipt"] = findings.receipt
    write_results(output, content, curves, explanations, clock.times, key)


def described(grid: Grid) -> dict[str, Any]:
    """What results.json says of the grid."""
    measured = {"name": grid.name, "window": grid.window, "latency": grid.latency}
    # The page shows nothing of hidden traces but numbers of whole cases.
    return measured | {"case_seconds": grid.limits.case_seconds, "hidden": grid.hidden}


def report(findings: Findings) -> int:
    """Print what failed and why, and return the exit code."""
    for outcome in findings.outcomes:
        if outcome.row["status"] != "ok":
            print(f"{outcome.row['status']}: {outcome.row['message']}", flush=True)
    print(f"ingestion: {findings.status}" + (f": {findings.message}" if findings.message else ""), flush=True)
    return {"scored": 0, "data_unavailable": 2}.get(findings.status, 1)


if __name__ == "__main__":
    end_when_interrupted("ingestion: interrupted, there are no results")
    # No text of a policy's may break a log that cannot show it.
    sys.stdout.reconfigure(errors="backslashreplace")
    hide_process()
    sys.exit(main())
