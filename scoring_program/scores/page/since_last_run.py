"""What changed since an earlier run on the same cases and traces: a column of the cases, and a line for their mean."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..comparison import Row, case_name
from ..modeled_runtime import case_score
from ..previous import Previous
from .markup import Markup, content, element

HEADING = "since last run"
Columns, Rows = tuple[str, ...], list[tuple[object, ...]]


def with_changes(
    columns: Columns, rows: Rows, pairs: Sequence[tuple[Row, Row]], previous: Previous | None
) -> tuple[Columns, Rows]:
    """The columns and rows of the cases' table with the change of each case score; as they are without an earlier run.

    pairs: the measured cases and their references, one for each row.
    """
    if previous is None:
        return columns, rows
    changes = [case_score(*pair) - previous.case_scores[case_name(pair[0])] for pair in pairs]
    cells = [_signed(change, 2) for change in changes]
    return (*columns, HEADING), [(*row, cell) for row, cell in zip(rows, cells, strict=True)]


def change_line(composite: float, previous: Previous | None) -> Markup | None:
    """The change of the composite score, with the name of the earlier run."""
    if previous is None:
        return None
    change = composite - math.fsum(previous.case_scores.values()) / len(previous.case_scores)
    run = element("code", previous.name)
    return element(
        "p", content("Since the last run on these traces, ", run, f": composite_score {_signed(change, 4)}.")
    )


def _signed(change: float, decimals: int) -> str:
    # Nothing has no sign: -0.001 is written +0.00.
    return f"{round(change, decimals) + 0.0:+.{decimals}f}"
