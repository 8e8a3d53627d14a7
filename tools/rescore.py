"""Re-scores finished runs from their logs of decisions, without running a policy.

    python tools/rescore.py FOLDER --traces sample_traces              runs against the reference that ships
    python tools/rescore.py FOLDER --traces T --reference NEW --before OLD      the board before and after

FOLDER holds runs at any depth: folders with results.json, or prediction results as Codabench has them, zipped, each
named by its submission's number. Says where a stored result is not what its log gives, and writes the board before and
after into --output: rescored.md and rescored.json. With another trace than the runs were measured on, a score is what
the old decisions are worth on it; a re-run would decide anew. Exit code 0: all stored results agree. 1: some do not, or
cannot be re-scored. 2: nothing can.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / name) for name in ("tools", "starting_kit", "ingestion_program", "scoring_program")]

from placement.evaluation.interruption import begin

if __name__ == "__main__":
    # Before the rest is imported, which takes its time.
    begin("rescore.py", "rescore: interrupted, nothing is written")

import argparse
from collections.abc import Sequence

from commands.argument_types import integer_from
from commands.options import JOBS
from commands.places import OUTPUT, short
from placement.errors import OrganizerError
from placement.evaluation.printing import run_program
from placement.evaluation.result_files import write_json
from placement.evaluation.temporary import fresh_folder
from placement.grid import grid_from_mapping
from placement.traces.files import TraceFolder, manifest_beside
from placement.traces.keys import read_key
from placement.traces.whole_file import write_whole
from placement.traces.yaml_file import read_yaml
from rescoring.corrected_board import HEADINGS, Line, board, content, table, text
from rescoring.recomputing import recompute
from rescoring.stored_runs import read_runs
from scores.comparison import read_reference
from scores.problems import FileError
from scores.table import aligned

MOST_LINES = 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    options = parse(arguments)
    try:
        return rescore(options)
    except (OrganizerError, FileError) as error:
        print(f"rescore.py: error: {error}", file=sys.stderr)
    except OSError as error:
        print(
            f"rescore.py: error: {error.filename}: {error.strerror}. Next: name another folder with --output",
            file=sys.stderr,
        )
    return 2


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(
        prog="rescore.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="folders or zips of finished runs")
    parser.add_argument("--traces", required=True, type=Path, metavar="DIR", help="folder of the traces to score on")
    parser.add_argument(
        "--grid",
        type=Path,
        metavar="FILE",
        help="a grid file, whose cases and costs replace those of the results; needed where these were corrected",
    )
    parser.add_argument(
        "--reference",
        type=Path,
        default=ROOT / "reference_data",
        metavar="DIR",
        help="folder of the ds_eplb.json that counts now (default: reference_data)",
    )
    parser.add_argument(
        "--before",
        type=Path,
        metavar="DIR",
        help="folder of the ds_eplb.json that counted before (default: the same as --reference)",
    )
    parser.add_argument(
        "--keys",
        type=Path,
        metavar="DIR",
        help="folder of the keys: check signatures with signing.key, open traces with trace.key",
    )
    parser.add_argument(
        "--jobs",
        type=integer_from(1),
        default=JOBS,
        help="number of runs replayed at the same time (default: %(default)s)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=OUTPUT / "rescored",
        metavar="DIR",
        help="folder for rescored.md and rescored.json (default: output/rescored)",
    )
    return parser.parse_args(arguments)


def rescore(options: argparse.Namespace) -> int:
    """Re-score runs, print and write the findings, and return the exit code.

    Raises OrganizerError, FileError for a reference, and OSError.
    """
    reference = read_reference(options.reference / "ds_eplb.json")
    before = read_reference(options.before / "ds_eplb.json") if options.before else reference
    grid = grid_from_mapping(read_yaml(options.grid, "grid")) if options.grid else None
    key = None
    if options.keys:
        if not options.keys.is_dir():
            expected, next_step = "a folder with signing.key and trace.key", "name the folder, not a key's file"
            raise OrganizerError("--keys names no folder", str(options.keys), expected, next_step)
        # A folder without it would have the published key taken for the competition's.
        read_key(options.keys / "signing.key")
        key = read_key(options.keys / "trace.key") if (options.keys / "trace.key").exists() else None
    notes: list[str] = []
    traces = TraceFolder(options.traces, manifest_beside(options.traces, notes), key)
    with fresh_folder() as unpacked:
        runs = read_runs(options.folders, unpacked, options.keys)
        cases = recompute(runs, traces, grid, options.jobs, lambda line: print(line, flush=True))
    lines = board(runs, cases, reference, before)
    unscored = [line for line in lines if line.before is None and line.after]
    if unscored:
        said = f"{len(unscored)} runs do not fit the reference that counted (--before) and have no score before"
        notes.append(f"{said}: {unscored[0].name}: {unscored[0].not_before}".rstrip("."))
    if not options.grid and any(line.before and line.after is None for line in lines):
        notes.append("if cases or costs were corrected, give the corrected grid with --grid")
    others = sum(not case.same_trace for run in cases for case in run)
    if others:
        notes.append(
            f"{others} cases were measured on other traces than these. Their scores here are the worth of the old "
            "decisions on these traces; a re-run would decide anew"
        )
    if not options.keys:
        notes.append("no signature was checked; to check signatures, give --keys")
    options.output.mkdir(parents=True, exist_ok=True)
    write_whole(options.output / "rescored.md", text(lines, [f"Note: {note}." for note in notes]).encode("utf-8"))
    write_json(options.output / "rescored.json", content(lines))
    report(lines, notes, options.output)
    return 1 if any(line.problems or line.differences for line in lines) else 0


def report(lines: list[Line], notes: list[str], output: Path) -> None:
    """Print the first lines of the board, the problems, and a summary."""
    print(aligned(HEADINGS, table(lines[:MOST_LINES])))
    said = [f"{line.name}: {problem}" for line in lines for problem in line.problems]
    said += [f"{line.name}: {found['text']}" for line in lines for found in line.differences]
    for sentence in said[:MOST_LINES]:
        print(sentence)
    if len(said) > MOST_LINES:
        print(f"... and {len(said) - MOST_LINES} more, in {short(output)}")
    for note in notes:
        print(f"note: {note}")
    agree = sum(line.verdict == "agrees" for line in lines)
    moved = sum(line.rank != line.rank_before for line in lines if line.rank and line.rank_before)
    missing = sum(line.after is None for line in lines)
    left_out = f", {missing} are not re-scored" * bool(missing)
    counts = f"{agree} agree with their logs, {moved} change their rank{left_out}"
    print(f"{len(lines)} runs: {counts}; {short(output)}/rescored.md")


if __name__ == "__main__":
    run_program(main, "rescore.py")
