"""Two finished runs side by side, for `compare RUN RUN`. The runs share one set of traces, so there is no verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from scores.comparison import case_name, match, read_reference, read_results
from scores.parts import Parts, seconds_parts, sums
from scores.problems import FileError
from scores.seconds_table import HEADINGS, sum_cells

from .compare_table import side_by_side
from .frame import RunFailed, read_frame
from .options import UsageError
from .runs import REFERENCE, summary_of

if TYPE_CHECKING:
    import pandas as pd

PARTS_HEADINGS = ("seconds, B - A", *HEADINGS[1:-1])
CHOOSE = "choose among the runs that kit.py runs prints"


def compare_runs(folders: Sequence[Path]) -> pd.DataFrame:
    """The table of `compare` for two kept runs, A and B; the last row is the mean of the cases.

    folders: of the runs, from find_run. Raises UsageError for another number of runs, for a run without a score, and
    for runs of different grids or traces.
    """
    if len(folders) != 2:
        raise UsageError("runs are compared two at a time", str(len(folders)), "RUN RUN", "name two runs")
    scores: dict[str, list[list[float]]] = {}
    parts: dict[str, dict[str, Parts | None]] = {}
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
            grids = [summary_of(each).grid for each in folders]
            got = f"{folder.name}, {_on(grids[1], grids)}{error.fields['what']}"
            expected = f"the cases and traces of {folders[0].name}, {_on(grids[0], grids)}".rstrip(", ")
            raise UsageError("the runs are of different grids or traces", got, expected, CHOOSE) from None
        case_scores = [float(score) for score in frame["case_score"]]
        pairs = match(read_results((folder / "results.json").read_bytes()), read_reference(folders[0] / REFERENCE))
        parts[letter] = {case_name(row): seconds_parts(row, stored) for row, stored in pairs}
        scores[letter] = [[*case_scores, math.fsum(case_scores) / len(case_scores)]]
    rows = [case_name(row) for row in frame.to_dict("records")]
    table = side_by_side([*rows, "composite_score"], scores)
    names = [f"{folder.name}, {summary_of(folder).policy}" for folder in folders]
    table.attrs["policies"] = dict(zip("AB", names, strict=True))
    change = f"composite_score: B - A = {table['B - A'].iloc[-1]:+.4f}"
    next_step = "compare the two policies, over seeds, with kit.py compare POLICY POLICY"
    table.attrs["verdicts"] = [f"{change}; one set of traces gives no verdict. Next: {next_step}"]
    table.attrs["parts"] = parts_rows(parts["A"], parts["B"])
    return table


def parts_rows(first: dict[str, Parts | None], second: dict[str, Parts | None]) -> list[tuple[str, ...]]:
    """Rows under PARTS_HEADINGS: B's seconds minus A's for each part, by case and in sum, and the sums of each run.

    No rows where a part is not known.
    """
    sum_of = {letter: sums(list(parts.values())) for letter, parts in (("A", first), ("B", second))}
    if None in sum_of.values():
        return []
    pairs = [(name, first[name], second[name]) for name in first]
    rows = [(name, *changes_of(*both)) for name, *both in [*pairs, ("all cases", sum_of["A"], sum_of["B"])]]
    return [*rows, *((f"all cases, {letter}", *sum_cells(each)) for letter, each in sum_of.items())]


def changes_of(before: Parts, after: Parts) -> list[str]:
    """Cells with the changes: of all seconds above a perfect balance, and of each part."""
    changes = [new - old for old, new in zip((sum(before), *before), (sum(after), *after), strict=True)]
    # Nothing has no sign.
    return [f"{round(change, 3) + 0.0:+.3f}" for change in changes]


def _on(grid: str, grids: Sequence[str]) -> str:
    """The grid's name, where the two runs have different grids."""
    return f"on the grid {grid}, " if len(set(grids)) > 1 else ""
