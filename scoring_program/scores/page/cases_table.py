"""The table of the cases: as text for the log, and for the page beside DS-EPLB and the yardsticks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..comparison import Row, case_name, is_number
from ..modeled_runtime import case_score, modeled_seconds
from ..parts import NAMES, seconds_parts
from ..previous import Previous
from ..yardsticks import share_of_the_way, yardstick_row
from .markup import Markup, content, element, table
from .since_last_run import with_changes

HEADINGS = ("case", "status", "mean_par", "transmit", "modeled s", "DS-EPLB s", "case score", "policy s")
COLUMNS = (
    *("case", "status", "case score", "clairvoyant", "of the way", "mean PAR", "transmit", "modeled s"),
    *("policy s",),
)
KEY = (
    "Grey numbers: DS-EPLB in the same case. Clairvoyant: the case score of clairvoyant DS-EPLB; that yardstick plans "
    "with the coming hotness and moves for free. Of the way: 0 % is static (no expert is ever moved), 100 % is "
    "clairvoyant DS-EPLB. Modeled s: 60 seconds times mean PAR, plus the transfer of moved experts. +N in a case's "
    "name: N redundant experts; without +N, as many as devices (ep)."
)


def case_cells(row: Row, reference: Row) -> tuple[str, ...]:
    """A case's cells for the log, under HEADINGS; a dash where a failed case has no number."""
    policy_seconds = f"{row['policy_seconds']:.3f}" if is_number(row.get("policy_seconds")) else "-"
    if row["status"] != "ok":
        seconds = f"{modeled_seconds(reference):.3f}"
        return (case_name(row), row["status"], "-", "-", "-", seconds, "-", policy_seconds)
    return (
        case_name(row),
        row["status"],
        f"{row['mean_par']:.4f}",
        f"{row['transmit_amount']}",
        f"{modeled_seconds(row):.3f}",
        f"{modeled_seconds(reference):.3f}",
        f"{case_score(row, reference):.4f}",
        policy_seconds,
    )


def cases_table(
    pairs: Sequence[tuple[Row, Row]], grid: Any, links: Sequence[str | None], previous: Previous | None = None
) -> Markup:
    """The page's table, one row for each case; links: the place of each case's details on the page.

    grid: the results' entry, from which the limit case_seconds is shown; previous: an earlier run to compare with.
    """
    limit = grid.get("case_seconds") if isinstance(grid, dict) else None
    rows = [_cells(row, reference, limit, link) for (row, reference), link in zip(pairs, links, strict=True)]
    columns, rows = with_changes(COLUMNS, rows, pairs, previous)
    return table("Cases", columns, rows, "cases stacked", KEY)


def case_columns(pairs: Sequence[tuple[Row, Row]]) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
    """Headings and rows of the measured cases for the download: all digits, DS-EPLB's numbers and the five parts."""
    measures = ("mean_par", "transmit_amount", "modeled_seconds")
    headings = ("case", "case_score", *measures, *(f"{name}, DS-EPLB" for name in measures))
    headings += (*NAMES, *(f"{name}, DS-EPLB" for name in NAMES))
    rows = []
    for row, reference in pairs:
        measured = [(each["mean_par"], each["transmit_amount"], modeled_seconds(each)) for each in (row, reference)]
        parts = [seconds_parts(each, reference) or ("",) * len(NAMES) for each in (row, reference)]
        rows.append((case_name(row), case_score(row, reference), *measured[0], *measured[1], *parts[0], *parts[1]))
    return headings, rows


def _cells(row: Row, reference: Row, limit: Any, link: str | None) -> tuple[object, ...]:
    name = element("a", case_name(row), href=link) if link else case_name(row)
    ok = row["status"] == "ok"
    status = element("span", row["status"], class_="ok" if ok else "bad")
    baseline = _measures(reference, reference)
    submission = _measures(row, reference) if ok else ("-",) * len(baseline)
    score, way, *compared = (
        content(value, " ", element("small", other, title="DS-EPLB"))
        for value, other in zip(submission, baseline, strict=True)
    )
    clairvoyant = yardstick_row(reference, "clairvoyant")
    highest = f"{case_score(clairvoyant, reference):.2f}" if clairvoyant else "-"
    return (name, status, score, highest, way, *compared, _policy_seconds(row, limit))


def _measures(row: Row, reference: Row) -> tuple[str, ...]:
    """Case score, of the way, mean PAR, transmit, modeled seconds."""
    share = share_of_the_way(row, reference)
    score, way = f"{case_score(row, reference):.2f}", "-" if share is None else f"{100 * share:.1f} %"
    return (score, way, f"{row['mean_par']:.4f}", str(row["transmit_amount"]), f"{modeled_seconds(row):.3f}")


def _policy_seconds(row: Row, limit: Any) -> object:
    if not is_number(row.get("policy_seconds")):
        return "-"
    of = element("small", f"of {limit:g} s") if is_number(limit) else None
    return content(f"{row['policy_seconds']:.3f}", " ", of)
