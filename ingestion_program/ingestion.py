"""Ingestion: runs a submission's policy over a grid of cases and writes the files that the scorer needs.

    python ingestion.py --submission DIR --traces DIR --grid FILE --output DIR --jobs N

Exit code 0: every case was measured. 1: a case failed, or the submission was refused. 2: the organizer's error.
results.json is written and signed in every case. The default paths are Codabench's.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

PROGRAM = Path(__file__).resolve().parent
# In front: no installed package may take the place of one of these. Only a built bundle has the folder vendor.
sys.path[:0] = [str(PROGRAM), str(PROGRAM / "vendor")]

from placement.evaluation.interruption import begin, end_when_interrupted

if __name__ == "__main__":
    # Before the rest is imported, which takes its time.
    begin("ingestion", "ingestion: interrupted, there are no results")
    # Nothing here needs threads of a library, and half of them, without memory for all, hang at a fork.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import shutil
import tempfile
import traceback

from placement.errors import OrganizerError, SubmissionRefused
from placement.evaluation.case_run import active_layers
from placement.evaluation.clock import Clock
from placement.evaluation.findings import EXIT_CODES, Findings, report, write
from placement.evaluation.grid_run import cores, run_grid
from placement.evaluation.interruption import end_with_parent
from placement.evaluation.machine import lack
from placement.evaluation.printing import CannotPrint, run_program
from placement.evaluation.progress import Progress
from placement.evaluation.result_files import FILES
from placement.evaluation.signature import PUBLISHED_KEY, signing_key
from placement.evaluation.temporary import remove_abandoned, temporary_folder
from placement.evaluation.trace_process import Run
from placement.evaluation.versions import versions
from placement.grid import grid_from_mapping
from placement.isolation.sandbox import hide_process
from placement.submission.contents import note_of, submission_files
from placement.submission.folder import find_policy
from placement.submission.receipt import receipt, receipt_line
from placement.submission.stage import stage
from placement.traces.files import TraceFolder, manifest_beside
from placement.traces.keys import take_key
from placement.traces.yaml_file import read_yaml

PLATFORM_OUTPUT = Path("/app/output")
PLATFORM_TRACES = Path("/app/data")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    options, clock = parse(arguments), Clock()
    try:
        return ingest(options, clock)
    except (OSError, MemoryError) as error:
        problem = OrganizerError(
            "the output cannot be written",
            got=f"{type(error).__name__}: {error}",
            expected="a folder with room for the results",
            next_step="free space, or name another folder with --output",
            where="ingestion",
        )
        print(problem, flush=True)
        return 2


def ingest(options: argparse.Namespace, clock: Clock) -> int:
    """Run the grid, write the result files, print the findings, and return the exit code.

    Raises OSError and MemoryError where the results cannot be written.
    """
    key, trace_key, no_key = PUBLISHED_KEY, None, None
    try:
        # First of all: nothing of the submission's may find a key.
        trace_key = take_key(PROGRAM / "keys" / "trace.key")
        key = signing_key(PROGRAM)
    except OrganizerError as error:
        no_key = error
    # Also where this run ends before it has temporary files.
    remove_abandoned()
    clear(options.output)
    findings, unprinted = Findings(), ""
    try:
        print("versions: " + ", ".join(f"{name} {version}" for name, version in versions().items()), flush=True)
        if no_key:
            raise no_key
        measure(options, findings, trace_key)
    except SubmissionRefused as error:
        findings.status, findings.failure = "refused", error
    except OrganizerError as error:
        findings.status, findings.failure = "data_unavailable", error
    except CannotPrint as error:
        findings.status, findings.failure, unprinted = "data_unavailable", error.problem, str(error)
    except Exception as error:
        findings.status, findings.failure = "data_unavailable", lack(error) or unknown(error)
    write(options.output, findings, clock, key)
    if __name__ == "__main__":
        end_when_interrupted("ingestion: interrupted, the results are complete")
    try:
        report(findings)
    except CannotPrint as error:
        # The results are written, and say what is true.
        unprinted = str(error)
    if unprinted:
        print(f"ingestion: {findings.status}: {unprinted}", file=sys.stderr, flush=True)
    return EXIT_CODES[findings.status]


def unknown(error: Exception) -> OrganizerError:
    """The error for a defect of this program; the log has the traceback."""
    traceback.print_exception(error)
    return OrganizerError("the ingestion program failed", "", "", "organizers find the reason in the log")


def measure(options: argparse.Namespace, findings: Findings, key: bytes | None) -> None:
    """Run the grid and add to the findings step by step; key opens sealed traces.

    Raises SubmissionRefused and OrganizerError.
    """
    findings.grid = grid = grid_from_mapping(read_yaml(options.grid, "grid"))
    traces = options.traces or platform_traces(grid.name)
    manifest = manifest_beside(traces, findings.notes)
    folder, note = find_policy(options.submission)
    files, left_out = submission_files(folder)
    with temporary_folder():
        # The policy sees this copy alone, and the receipt covers all of it.
        stage(files, copy := Path(tempfile.mkdtemp(prefix="submission-")))
        findings.receipt = receipt(copy, grid)
        print(receipt_line(findings.receipt), flush=True)
        findings.notes += filter(None, (note, note_of(left_out)))
        for text in findings.notes:
            print(f"note: {text}", flush=True)
        run = Run(copy, grid, TraceFolder(traces, manifest, key))
        findings.outcomes = run_grid(run, options.jobs, Progress(len(grid.cases)))
    print(f"sandbox: {grid.sandbox}, active: {', '.join(active_layers(findings.outcomes)) or 'none'}", flush=True)
    failed = any(outcome.row["status"] != "ok" for outcome in findings.outcomes)
    findings.status = "failed" if failed else "scored"


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the options; the default paths are the platform's."""
    parser = argparse.ArgumentParser(description="Run a policy over a grid of cases.")
    parser.add_argument(
        "--submission", type=Path, default=Path("/app/ingested_program"), help="folder that holds policy.py"
    )
    parser.add_argument(
        "--traces",
        type=Path,
        help=f"folder with <model>/<dataset>.npy (default: {PLATFORM_TRACES}/<grid's name> or {PLATFORM_TRACES})",
    )
    parser.add_argument("--grid", type=Path, default=PROGRAM / "grid.yaml")
    parser.add_argument("--output", type=Path, default=PLATFORM_OUTPUT)
    parser.add_argument(
        "--jobs", type=int, default=cores(), help="number of traces replayed at the same time (default: all cores)"
    )
    options = parser.parse_args(arguments)
    if options.jobs < 1:
        parser.error(f"--jobs must be at least 1, got {options.jobs}")
    return options


def clear(output: Path) -> None:
    """Make the output folder and remove old results; on the platform, remove everything that was put there before."""
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


if __name__ == "__main__":
    end_with_parent()
    hide_process()
    run_program(main, "ingestion")
