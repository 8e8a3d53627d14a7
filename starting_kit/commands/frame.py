"""A run's results as a table: one row for each case, with the names of results.json and the leaderboard."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from placement.grid import Case
from placement.results import MEASURES
from scores.comparison import case_name, match, read_reference, read_results
from scores.modeled_runtime import case_table, leaderboard
from scores.problems import sentence

if TYPE_CHECKING:
    import pandas as pd

# Beside the table of the scoring program, which ends with the first two measures.
ADDED = [*MEASURES[2:], "policy_seconds", "slowest_call_seconds"]


class RunFailed(Exception):
    """A run without a score. The text is the reason, `rows` has the known numbers of the cases, `status` is one of
    EXIT_CODES.
    """

    def __init__(self, message: str, rows: pd.DataFrame, status: str) -> None:
        super().__init__(message)
        self.rows, self.status = rows, status


def read_frame(results: Path, reference: Path, cases: Sequence[Case] | None) -> pd.DataFrame:
    """Read the table of a run from files. Arguments and errors are those of frame_of."""
    content = read_results((results / "results.json").read_bytes())
    return frame_of(content, read_reference(reference / "ds_eplb.json"), cases)


def pairs_of(
    content: dict[str, Any], stored: dict[str, Any], cases: Sequence[Case] | None
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The rows of a run, each with the reference's row. Arguments are those of frame_of. Raises problems.FileError."""
    if cases is not None:
        names = [case.name for case in cases]
        stored = stored | {"cases": [row for row in stored["cases"] if case_name(row) in names]}
    return match(content, stored) if content["cases"] else []


def frame_of(content: dict[str, Any], stored: dict[str, Any], cases: Sequence[Case] | None) -> pd.DataFrame:
    """Make the table of a run.

    content: of results.json; stored: of ds_eplb.json; cases: the cases that ran, None for the whole grid. `.attrs` has
    the leaderboard's columns for the whole grid, and `mean_case_score` for some cases. Raises RunFailed, and
    problems.FileError when results and reference do not belong together.
    """
    import pandas as pd

    pairs = pairs_of(content, stored, cases)
    failed = [sentence(row["failure"], case_name(row)) for row in content["cases"] if row["status"] != "ok"]
    if failed or content["status"] != "scored":
        said = "\n".join(failed) or sentence(content["failure"])
        raise RunFailed(said, pd.DataFrame(content["cases"]), "failed" if failed else content["status"])
    frame = case_table(pairs).join(pd.DataFrame([row for row, _ in pairs], columns=ADDED))
    if cases is None:
        frame.attrs.update(leaderboard(frame))
    else:
        frame.attrs["mean_case_score"] = round(math.fsum(frame["case_score"]) / len(frame), 10)
    return frame
