"""A run's results as a table: one row per case, named as in results.json and on the leaderboard."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from placement.grid import Case
from placement.results import MEASURES
from scores.comparison import case_name, match, message_of, read_reference, read_results
from scores.modeled_runtime import case_score, leaderboard, modeled_seconds

TIMES = ("policy_seconds", "slowest_call_seconds")


class RunFailed(Exception):
    """A run that has no score; the text says why, `rows` has what there is of the cases, `status` the run's own."""

    def __init__(self, message: str, rows: pd.DataFrame, status: str = "failed") -> None:
        super().__init__(message)
        self.rows, self.status = rows, status


def read_frame(results: Path, reference: Path, cases: Sequence[Case] | None) -> pd.DataFrame:
    """The table of a run; cases: those that were run, None for the whole grid.

    `.attrs` has the leaderboard's columns for the whole grid, and `mean_case_score` for some cases of it. Raises
    RunFailed, and comparison.FileError when the results and the reference do not belong together.
    """
    content = read_results((results / "results.json").read_bytes())
    stored = read_reference(reference / "ds_eplb.json")
    if cases is not None:
        names = [case.name for case in cases]
        stored["cases"] = [row for row in stored["cases"] if case_name(row) in names]
    pairs = match(content, stored) if content["cases"] else []
    failed = [message_of(row) for row in content["cases"] if row["status"] != "ok"]
    if failed or content["status"] != "scored":
        raise RunFailed("\n".join(failed) or message_of(content), pd.DataFrame(content["cases"]), content["status"])
    frame = pd.DataFrame([_row(row, baseline) for row, baseline in pairs])
    if cases is None:
        frame.attrs.update(leaderboard([row for row, _ in pairs], [baseline for _, baseline in pairs]))
    else:
        frame.attrs["mean_case_score"] = round(math.fsum(frame["case_score"]) / len(frame), 10)
    return frame


def _row(row: dict[str, Any], baseline: dict[str, Any]) -> dict[str, Any]:
    return {
        **{name: row[name] for name in ("model", "dataset", "ep", "status")},
        "case_score": case_score(row, baseline),
        "modeled_seconds": modeled_seconds(row),
        "par_vs_ds_eplb": row["mean_par"] / baseline["mean_par"],
        "transmit_vs_ds_eplb": row["transmit_amount"] / baseline["transmit_amount"],
        **{name: row[name] for name in (*MEASURES, *TIMES)},
    }
