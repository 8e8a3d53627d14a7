"""What changed since an earlier run on the same cases and traces: case scores, composite score, parts."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..comparison import Row, case_name
from ..modeled_runtime import case_score
from ..parts import Parts, seconds_parts, sums
from ..previous import Previous
from ..seconds_table import HEADINGS, Pairs
from .markup import Markup, content, element, table

HEADING = "since last run"
OTHER_HEADING = "since another policy"
KEY = (
    "Seconds of this run minus seconds of the last run. Below 0, this run is faster. Fixed and clairvoyant's own are "
    "the same for every policy."
)
Columns, Rows = tuple[str, ...], list[tuple[object, ...]]


def with_changes(
    columns: Columns, rows: Rows, pairs: Sequence[tuple[Row, Row]], previous: Previous | None
) -> tuple[Columns, Rows]:
    """Add the change of each case score to the columns and rows of the cases' table.

    pairs: the measured cases and their references, one for each row. Without an earlier run, columns and rows are
    returned unchanged.
    """
    if previous is None:
        return columns, rows
    changes = [case_score(*pair) - previous.case_scores[case_name(pair[0])] for pair in pairs]
    cells = [_signed(change, 2) for change in changes]
    heading = OTHER_HEADING if previous.policy else HEADING
    return (*columns, heading), [(*row, cell) for row, cell in zip(rows, cells, strict=True)]


def change_line(composite: float, previous: Previous | None) -> Markup | None:
    """The change of the composite score, with the earlier run's name, and the earlier policy's name if it differs."""
    if previous is None:
        return None
    change = composite - math.fsum(previous.case_scores.values()) / len(previous.case_scores)
    run, signed = element("code", previous.name), f": composite_score {_signed(change, 4)}."
    if not previous.policy:
        return element("p", content("Change since the last run of this policy on these traces, ", run, signed))
    policy = element("code", previous.policy)
    said = content("Change since the last run on these traces, of another policy, ", policy, ", ", run, signed)
    return element("p", said)


def parts_changes(pairs: Pairs, previous: Previous | None) -> Markup | None:
    """A table with the change of each part of the seconds; None without an earlier run or where a part is not known."""
    if previous is None:
        return None
    now = [seconds_parts(row, reference) for row, reference in pairs]
    names = [case_name(row) for row, _ in pairs]
    before = [previous.parts[name] for name in names]
    if sums(now) is None or sums(before) is None:
        return None
    changes = [Parts(*(new - old for new, old in zip(*both, strict=True))) for both in zip(now, before, strict=True)]
    rows = [
        (name, *(_signed(seconds, 3) for seconds in (sum(change), *change)))
        for name, change in zip([*names, "all cases"], [*changes, sums(changes)], strict=True)
    ]
    since = f"since the last run, of {previous.policy}" if previous.policy else "since the last run"
    return table(f"Where the seconds go, {since}", HEADINGS[:-1], rows, "changes stacked", KEY)


def _signed(change: float, decimals: int) -> str:
    # Nothing has no sign: -0.001 is written +0.00.
    return f"{round(change, decimals) + 0.0:+.{decimals}f}"
