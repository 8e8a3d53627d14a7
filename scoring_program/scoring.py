"""Scoring: compares a run's results with the stored DS-EPLB results and writes the leaderboard's columns.

    python scoring.py --results DIR --reference DIR --output DIR

The program writes the page first and scores.json last. Without a score there is no scores.json. Exit codes: 0 for a
score, 1 for a submission that failed or was refused, 2 for an organizer's error. The default paths are Codabench's.
"""

from __future__ import annotations

import sys
from pathlib import Path

# In front: no installed package may take the place of one of ours.
sys.path.insert(0, str(Path(__file__).resolve().parent))

from scores.ending import begin, leave, say, say_error

if __name__ == "__main__":
    # Before the rest is imported, which takes its time.
    begin()

import argparse
import json
import os
import shlex
import time
import traceback
from collections.abc import Sequence

from scores.authenticity import check_companions, check_record, check_signature
from scores.companions import NOTHING, Companions, read_companions
from scores.comparison import Row, broken_results, case_name, check_layers, match, read_reference, read_results
from scores.modeled_runtime import COLUMNS, case_table, leaderboard
from scores.page.cases_table import HEADINGS, case_cells
from scores.page.report import failed_page, scored_page
from scores.previous import read_previous
from scores.problems import EXIT_CODES, FileError, alike, sentence
from scores.seconds_table import HEADINGS as PARTS_HEADINGS
from scores.seconds_table import text_rows
from scores.table import aligned

NEXT_STEP = {
    "failed": "Next: correct the policy as the messages above say; `kit.py check {policy}` finds most mistakes in two "
    "seconds.",
    "refused": "Next: correct the submission as the message says, then run or upload the submission again.",
    "data_unavailable": "Next: nothing for participants to do; organizers restore the competition's data.",
}
UNAVAILABLE = "The competition's data is not available on this worker. The organizers find the reason in the log."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(description="Score the results of an ingestion run.")
    parser.add_argument("--results", type=Path, default=Path("/app/input/res"), help="folder that holds results.json")
    parser.add_argument("--reference", type=Path, default=Path("/app/input/ref"), help="folder that holds ds_eplb.json")
    parser.add_argument("--output", type=Path, default=Path("/app/output"), help="folder for the page and scores.json")
    parser.add_argument(
        "--previous", type=Path, help="folder with an earlier run's results.json; the page shows what changed since"
    )
    parser.add_argument("--previous-policy", help="name of the earlier run's policy, if another than this run's")
    parser.add_argument("--policy", help="name of the policy for the page (default: the hash in the receipt)")
    options = parser.parse_args(arguments)
    try:
        options.output.mkdir(parents=True, exist_ok=True)
        for name in ("scores.json", "detailed_results.html"):
            (options.output / name).unlink(missing_ok=True)
        try:
            return score(options)
        except FileError as error:
            return refuse(options, error)
        except OSError:
            raise
        except Exception as error:
            if not isinstance(error, MemoryError):
                traceback.print_exc()
            return refuse(options, defect(error))
    except OSError as error:
        what = f"scoring: the output cannot be written. Got: {error}. Expected: a writable folder with room"
        say_error(f"{what}. Next: free space, or name another folder with --output.")
        return 2


def refuse(options: argparse.Namespace, error: FileError) -> int:
    """Write the page for results that cannot be scored, print the reason, return the exit code. Raises OSError."""
    page = failed_page(error.status, str(error), [], [], {}, options.policy)
    write(options.output / "detailed_results.html", page)
    try:
        say(str(error))
    except FileError:
        say_error(str(error))
    return error.exit_code


def defect(error: Exception) -> FileError:
    """The error for a failure of this program or machine, without a mistake of the participant."""
    what, next_step = "the scoring program failed", "organizers find the reason in the scoring program's log"
    return FileError("data_unavailable", "scoring", what, type(error).__name__, "a score", next_step)


def score(options: argparse.Namespace) -> int:
    """Score the results, write page and scores, and return the exit code. Raises FileError and OSError."""
    reference = read_reference(options.reference / "ds_eplb.json")
    results = read_results(check_signature(options.results, options.reference))
    pairs = match(results, reference) if results["cases"] else []
    if results["status"] != "scored" or any(row["status"] != "ok" for row, _ in pairs):
        return fail(options.output, results, pairs, len(reference["cases"]), options.policy)
    # Only for results with a score: results without a score show their own message.
    check_companions(options.results, results)
    check_record(options.results, results, time.time())
    check_layers(results)
    scores = columns(pairs)
    companions = companions_of(results, options.results, options.reference)
    previous = read_previous(options.previous, reference, options.previous_policy)
    page = scored_page(scores, pairs, results, companions, previous, options.policy)
    write(options.output / "detailed_results.html", page)
    print_table(pairs)
    if parts := text_rows(pairs, companions):
        say(aligned(PARTS_HEADINGS, parts))
    # The composite score is the last line: what a reader of a long log looks for.
    for name in reversed(COLUMNS):
        say(f"{name}: {scores[name]:.4f}" if isinstance(scores[name], float) else f"{name}: {scores[name]}")
    write(options.output / "scores.json", json.dumps(scores, allow_nan=False) + "\n")
    return 0


def companions_of(results: dict, folder: Path, reference: Path) -> Companions:
    """The companion files that the page draws: NOTHING unless the results say that the traces are open."""
    if is_hidden(results):
        return NOTHING
    return read_companions(folder, reference, results["cases"])


def is_hidden(results: dict) -> bool:
    """Whether the traces are hidden; True where the results do not say."""
    grid = results.get("grid")
    return not isinstance(grid, dict) or grid.get("hidden") is not False


def columns(pairs: Sequence[tuple[Row, Row]]) -> dict[str, float]:
    """The leaderboard's columns. Raises FileError for a column that the platform cannot store."""
    try:
        return leaderboard(case_table(pairs))
    except (ValueError, ArithmeticError) as error:
        raise broken_results(
            "gives a column that the platform cannot store",
            error,
            "finite columns from 0 to below 1e10",
            "find the case with an impossible number",
        ) from None


def fail(output: Path, results: dict, pairs: list[tuple[Row, Row]], cases: int, policy: str | None) -> int:
    """Write the page of a submission without a score, print the reason, and return the exit code.

    cases: how many cases the grid has; policy: the policy's name, if known.
    """
    failures, left = [row for row, _ in pairs if row["status"] != "ok"], cases - len(pairs)
    if failures:
        status = "failed"
        said = f"{len(failures)} of {cases} cases failed" + f"; {left} others were stopped at the first failure" * (
            left > 0
        )
    else:
        status, said = results["status"], sentence(results["failure"])
    # Everyone may open the page. The reason why data is missing is for the organizers, in the log.
    shown = UNAVAILABLE if status == "data_unavailable" else said
    # A failed submission costs no attempt, so the page must show nothing that was measured on hidden traces.
    measured = [] if is_hidden(results) else pairs
    write(output / "detailed_results.html", failed_page(status, shown, measured, failures, results, policy))
    print_table(pairs)
    # A mistake often fails all cases alike: its sentence is read once.
    for first, *others in alike(failures):
        say(f"{first['status']}: {sentence(first['failure'], case_name(first))}")
        if others:
            say(f"{first['status']}: the same in {', '.join(map(case_name, others))}")
    say(f"No score: {status}: {said}")
    # A name may begin with a hyphen, or hold a blank.
    say(NEXT_STEP[status].format(policy=shlex.join(["--", policy][policy[:1] != "-" :]) if policy else "FOLDER"))
    return EXIT_CODES[status]


def print_table(pairs: Sequence[tuple[Row, Row]]) -> None:
    """Print the table of the cases as text."""
    if pairs:
        say(aligned(HEADINGS, (case_cells(row, reference) for row, reference in pairs)))


def write(path: Path, text: str) -> None:
    """Write a file completely or not at all. Raises OSError."""
    partial = path.with_name(f".{path.name}.part")
    # A link that lies there would be followed.
    partial.unlink(missing_ok=True)
    try:
        partial.write_text(text, encoding="utf-8", errors="backslashreplace")
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


if __name__ == "__main__":
    try:
        code = main()
    except SystemExit as ended:
        code = ended.code
    leave(code)
