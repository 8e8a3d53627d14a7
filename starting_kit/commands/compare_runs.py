"""Two finished runs side by side, as `compare RUN RUN` shows them: one set of traces, so there is no verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from scores.comparison import case_name
from scores.problems import FileError

from .compare_table import side_by_side
from .frame import RunFailed, read_frame
from .options import UsageError
from .runs import summary_of

if TYPE_CHECKING:
    import pandas as pd

CHOOSE = "choose among what kit.py runs prints"


def compare_runs(folders: Sequence[Path]) -> pd.DataFrame:
    """The table of `compare` for two kept runs, A and B; the last row is the mean of the cases.

    folders: of runs, as find_run returns them. Raises UsageError for another number of runs, for one without a score,
    and for runs of different grids or traces.
    """
    if len(folders) != 2:
        raise UsageError("runs are compared two at a time", str(len(folders)), "RUN RUN", "name two runs")
    scores: dict[str, list[list[float]]] = {}
    for letter, folder in zip("AB", folders, strict=True):
        try:
            # The first run's reference for both: what was run on other traces does not fit.
            frame = read_frame(folder, folders[0], None)
        except RunFailed as error:
            expected = "two runs with a composite_score"
            raise UsageError("a run has no score", f"{folder.name}: {error.status}", expected, CHOOSE) from None
        except FileError as error:
            if letter == "A":
                raise
            got = f"of {folder.name}, {error.fields['what']}"
            expected = f"the cases and the traces of {folders[0].name}"
            raise UsageError("the runs are of different grids or traces", got, expected, CHOOSE) from None
        case_scores = [float(score) for score in frame["case_score"]]
        scores[letter] = [[*case_scores, math.fsum(case_scores) / len(case_scores)]]
    rows = [case_name(row) for row in frame.to_dict("records")]
    table = side_by_side([*rows, "composite_score"], scores)
    names = [f"{folder.name}, {summary_of(folder).policy}" for folder in folders]
    table.attrs["policies"] = dict(zip("AB", names, strict=True))
    change = f"composite_score: B - A = {table['B - A'].iloc[-1]:+.4f}"
    next_step = "compare the two policies, over seeds, with kit.py compare POLICY POLICY"
    table.attrs["verdicts"] = [f"{change}; one set of traces decides nothing. Next: {next_step}"]
    return table
