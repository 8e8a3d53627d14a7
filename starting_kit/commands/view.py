"""`view`: a page that steps through a case of a finished run, made from the log of decisions and the trace."""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import Any

from placement.decisions import Sizes, replay_decisions
from placement.evaluation.decision_log import FILE, read_decisions
from placement.grid import Case, Cost
from placement.replay import Replay
from placement.results import mean_par
from placement.trace import Trace
from placement.traces.files import find_trace, open_trace
from placement.traces.whole_file import write_whole
from scores.comparison import case_name, read_results
from viewer.content import content_of
from viewer.page import page

from . import options as shared
from .named_paths import check_folder, check_output_file
from .options import UsageError
from .places import OUTPUT, TRACES, kit_command, short
from .runs import FOLDER, find_run, kept, summary_of

EXAMPLES = """
view  the first case of the last run, as output/view.html
view 20260921T14 --case DS-R1/generated:64  one case of the run whose name begins so
view output/prediction --traces my_traces  the last output of `run`, with the folder of the traces
"""
NAME = "view.html"
KNOWN_TRACES = {"sample": TRACES, "official": OUTPUT / "official" / "traces"}


def add_view(commands: Any) -> None:
    """Declare the command `view`."""
    parser = shared.add_command(commands, "view", "write a page that steps through a case of a finished run", EXAMPLES)
    parser.add_argument(
        "run_name",
        nargs="?",
        type=Path,
        metavar="RUN",
        help="a run, named as kit.py runs prints, or a folder with results.json and decisions.npz (default: the last "
        "run)",
    )
    parser.add_argument(
        "--case",
        metavar="CASE",
        help="the case, by its name or as MODEL/DATASET:EP, with +N as in the name (default: the first)",
    )
    parser.add_argument(
        "--traces",
        type=Path,
        metavar="FOLDER",
        help="folder that holds <model>/<dataset>.npy or .npz (default: the run's)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=OUTPUT / NAME,
        metavar="FILE.html",
        help=f"the page to write (default: output/{NAME})",
    )
    parser.set_defaults(run=view)


def view(options: argparse.Namespace) -> int:
    """Write the page; return exit code 0. Raises UsageError, FileError and OrganizerError."""
    check_output_file("--output", options.output)
    folder = _folder(options.run_name)
    results = _results(folder)
    row = _row(results, options.case)
    check_log(folder, results)
    sizes, decisions = read_decisions(folder, _case(row).key)
    trace = _trace(_traces(folder, results, options.traces), row)
    case = _case(row, sizes)
    measured = replay_decisions(trace, case, decisions)
    check_digits(measured, row)
    policy = summary_of(folder).policy
    subtitle = f"{folder.name}, {policy}" if policy != "-" else str(short(folder))
    text = page(case.name, subtitle, row, content_of(measured, trace, Cost(**row["cost"])))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    write_whole(options.output, text.encode("utf-8"))
    print(f"{case.name}: {short(options.output)}, {options.output.stat().st_size / 1e6:.1f} MB")
    return 0


def check_log(folder: Path, results: dict[str, Any]) -> None:
    """Raise UsageError where a log of decisions has another hash than the results state."""
    path, expected = folder / FILE, (results.get("companions") or {}).get(FILE)
    if path.is_file() and (got := hashlib.sha256(path.read_bytes()).hexdigest()) != expected:
        next_step = "copy the run's files again, or run the policy again"
        raise UsageError(
            "the log of decisions belongs to another run", f"sha256 {got}", str(expected), next_step, str(path)
        )


def check_digits(measured: Replay, row: dict[str, Any]) -> None:
    """Raise UsageError unless the replayed log gives the numbers of the case's row."""
    got = (mean_par(measured.par), measured.transmit_amount)
    if got != (expected := (row["mean_par"], row["transmit_amount"])):
        got_text, expected_text = (f"mean_par {par}, transmit_amount {slots}" for par, slots in (got, expected))
        what, next_step = "the log of decisions gives other numbers than the run", "use the kit that made the run"
        raise UsageError(what, got_text, expected_text, next_step, case_name(row))


def _folder(name: Path | None) -> Path:
    if name is None:
        if not (runs := kept(OUTPUT)):
            expected = f"one in {short(OUTPUT / FOLDER)}"
            raise UsageError("no run is kept", "none", expected, f"{kit_command('run')}, or name a run's folder")
        return runs[-1]
    if (name / "results.json").is_file():
        return name
    if folder := find_run(name):
        return folder
    expected = "a name that kit.py runs prints, or a folder with results.json"
    raise UsageError("there is no such run", str(name), expected, "correct the name")


def _results(folder: Path) -> dict[str, Any]:
    """The run's results. Raises FileError, and UsageError for a run on hidden traces."""
    results = read_results((folder / "results.json").read_bytes())
    if (grid := results.get("grid") or {}).get("hidden"):
        got, expected = f"the hidden grid {grid.get('name')}", "a run on open traces"
        next_step = "view a run of another grid"
        raise UsageError("the page would show hidden traces", got, expected, next_step, folder.name)
    return results


def _row(results: dict[str, Any], name: str | None) -> dict[str, Any]:
    """The row of the named case, or of the first case with status ok. Raises UsageError."""
    rows = {_short_name(row): row for row in results["cases"] if row["status"] == "ok"}
    if not rows:
        raise UsageError("no case of the run is ok", results["status"], "a case with numbers", "view another run")
    if name is None:
        return next(iter(rows.values()))
    for short_name, row in rows.items():
        if name.strip() in (short_name, case_name(row), _case(row).key):
            return row
    expected = f"one of {', '.join(rows)}"
    raise UsageError("the run has no such case with status ok", name, expected, "correct --case")


def _short_name(row: dict[str, Any]) -> str:
    return ":".join(_case(row).key.rsplit("/", 1))


def _case(row: dict[str, Any], sizes: Sizes | None = None) -> Case:
    """The case of a row. Where the row lacks sizes, only the case's names are meaningful."""
    named = {name: row[name] for name in ("model", "dataset", "ep", "redundant_experts")}
    modes = {name: row[name] for name in ("window", "latency", "groups", "nodes")}
    shape = (sizes.layers, sizes.experts) if sizes else (0, 0)
    return Case(**named, layers=shape[0], experts=shape[1], **modes)


def _traces(folder: Path, results: dict[str, Any], named: Path | None) -> Path:
    """The folder of the run's traces. Raises UsageError."""
    if named:
        check_folder("--traces", named, "<model>/<dataset>.npy or .npz")
        return named
    grid = (results.get("grid") or {}).get("name")
    stored = summary_of(folder).traces
    path = Path(stored) if stored else KNOWN_TRACES.get(grid)
    if path is None or not path.is_dir():
        got = f"no folder {path}" if path else f"a run of the grid {grid}"
        raise UsageError(
            "the run's traces are not known", got, "the folder of its traces", "name the folder with --traces"
        )
    return path


def _trace(folder: Path, row: dict[str, Any]) -> Trace:
    """The trace of a row, which must have the run's hash. Raises UsageError and OrganizerError."""
    place = f"trace {row['model']}/{row['dataset']}"
    path = find_trace(folder, row["model"], row["dataset"])
    if path.suffix == ".sealed":
        expected = "a plain .npy or .npz"
        raise UsageError("the trace is sealed", str(short(path)), expected, "view a run on other traces", place)
    trace = open_trace(folder, row["model"], row["dataset"], None)
    if trace.sha256 != row["trace_sha256"]:
        got, expected, next_step = (
            f"sha256 {trace.sha256}",
            row["trace_sha256"],
            "name the folder of the run's traces with --traces",
        )
        raise UsageError("the trace differs from the run's trace", got, expected, next_step, place)
    return trace
