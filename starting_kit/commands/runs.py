"""`runs`: finished runs of whole grids. `run` keeps them, so that later runs can be compared with them."""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

from placement.evaluation.result_files import write_json
from placement.submission.receipt import DIGITS, receipt_line
from scores.problems import FileError
from scores.table import aligned

from . import options as shared
from .frame import RunFailed, read_frame
from .options import UsageError
from .places import OUTPUT, kit_command, short

EXAMPLES = """
runs  the runs that `run` kept in output/runs, newest last
"""
MOST = 50
FOLDER = "runs"
# A day at least.
BEGINNING = re.compile(r"\d{8}(T[-.0-9a-f]*)?$")
# When it began, as UTC, and a hash of its receipt. Small grids take less than a second.
NAME = re.compile(rf"\d{{8}}T\d{{6}}\.\d{{3}}-[0-9a-f]{{{DIGITS}}}")
# With the reference a run has its case scores without the grid that it was of.
RESULTS = ("results.json", "series.npz", "explain.json", "decisions.npz")
REFERENCE = "ds_eplb.json"
SUMMARY = "run.json"


class Summary(NamedTuple):
    """A kept run: policy, grid, score or the reason for no score, and the practice grid's estimate.

    traces: the folder of the run's traces, "" where not known; not listed.
    """

    policy: str
    grid: str
    composite_score: float | str
    official_estimate: float | str = "-"
    traces: str = ""


LISTED = Summary._fields[:-1]


def add_runs(commands: Any) -> None:
    """Declare the command `runs`."""
    parser = shared.add_command(commands, "runs", f"list the last {MOST} runs of whole grids", EXAMPLES)
    parser.add_argument(
        "--output", type=Path, default=OUTPUT, help="the folder that `run` had as --output (default: output)"
    )
    parser.set_defaults(run=list_runs)


def list_runs(options: argparse.Namespace) -> int:
    """Print a line for each kept run, the newest last; return exit code 0."""
    rows = [(folder.name, *summary_of(folder)[: len(LISTED)]) for folder in kept(options.output)]
    if rows:
        print(aligned(("run", *LISTED), rows))
    else:
        print(f"No run is kept in {short(options.output / FOLDER)}. Next: {kit_command('run')}")
    return 0


def kept(output: Path) -> list[Path]:
    """The folders of the kept runs, the newest last."""
    return sorted(path for path in (output / FOLDER).glob("*") if NAME.fullmatch(path.name) and path.is_dir())


def summary_of(folder: Path) -> Summary:
    """The summary of a kept run."""
    try:
        return Summary(**json.loads((folder / SUMMARY).read_bytes()))
    except (OSError, ValueError, TypeError):
        return Summary("-", "-", "damaged")


def keep(
    output: Path, reference: Path, policy: Path, estimate: float | str = "-", traces: Path | None = None
) -> Path | None:
    """Keep the run whose files lie in `output`, remove runs beyond the last MOST, and return the kept run's folder.

    reference: the folder of ds_eplb.json; policy: the named folder; estimate: the practice grid's official_estimate;
    traces: the traces' folder. Returns None for a run that measured nothing or does not fit its reference. Raises
    OSError.
    """
    prediction, scores = output / "prediction", output / "scoring" / "scores.json"
    results = json.loads((prediction / "results.json").read_bytes())
    if "receipt" not in results or (results["status"] != "failed" and not scores.is_file()):
        return None
    began = datetime.fromtimestamp(results["started_seconds"], timezone.utc)
    digest = hashlib.sha256(receipt_line(results["receipt"]).encode()).hexdigest()[:DIGITS]
    folder = output / FOLDER / f"{f'{began:%Y%m%dT%H%M%S.%f}'[:-3]}-{digest}"
    # Its name does not fit NAME: what an interruption leaves is no run.
    partial = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    files = [*(prediction / name for name in RESULTS), reference / REFERENCE, *([scores] if scores.is_file() else [])]
    for path in files:
        shutil.copyfile(path, partial / path.name)
    score = json.loads(scores.read_bytes())["composite_score"] if scores.is_file() else results["status"]
    folder_of_traces = str(traces.resolve()) if traces else ""
    summary = Summary(str(short(policy)), results["receipt"]["grid"], score, estimate, folder_of_traces)
    write_json(partial / SUMMARY, summary._asdict())
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    for old in kept(output)[:-MOST]:
        shutil.rmtree(old)
    return folder


def previous(output: Path, reference: Path, policy: Path) -> tuple[Path, str] | None:
    """A kept run with a score on the same cases and traces as a reference; None without such a run.

    The newest run of the same policy (by folder name), or else the newest run. The second value is the policy's name
    where it is another policy, "" otherwise.
    """
    mine, fitting = str(short(policy)), None
    for folder in reversed(kept(output)):
        name = summary_of(folder).policy
        # Reading them is slow: of other policies one is enough.
        if fitting and name != mine:
            continue
        try:
            read_frame(folder, reference, None)
        except (RunFailed, FileError, OSError):
            continue
        if name == mine:
            return folder, ""
        fitting = folder, name
    return fitting


def find_run(name: Path) -> Path | None:
    """The folder of a kept run, named by a path, by its name in output/runs, or by the beginning of the name; else
    None.

    Raises UsageError for a name without a run, and for a beginning that several runs have.
    """
    if (name / SUMMARY).is_file() and not (name / "policy.py").exists():
        return name
    folder = OUTPUT / FOLDER / name
    if (folder / SUMMARY).is_file():
        return folder
    if not BEGINNING.match(str(name)) or name.exists():
        return None
    begun = [run for run in kept(OUTPUT) if run.name.startswith(str(name))]
    if len(begun) == 1:
        return begun[0]
    expected = "a name that kit.py runs prints, or the run's folder"
    what = "there are several such runs" if begun else "there is no such run"
    raise UsageError(what, str(name), expected, "correct the name")
