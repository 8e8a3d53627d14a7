"""The table of the cases: as text for the log, and with what makes up the seconds for the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..comparison import Row, case_name, is_number
from ..modeled_runtime import case_score, modeled_seconds
from ..yardsticks import share_of_the_way
from .markup import Markup, content, element, table

HEADINGS = ("case", "status", "mean_par", "transmit", "modeled s", "DS-EPLB s", "case score", "policy s")
COLUMNS = (
    *("case", "status", "case score", "mean PAR", "transmit", "modeled s", "compute s", "transfer s"),
    *("of the way", "policy s"),
)
KEY = (
    "The grey numbers are DS-EPLB's in the same case. Modeled seconds are compute, which grows with mean PAR, plus the "
    "transfer of moved experts. Of the way: from static, which never moves an expert (0 %), to clairvoyant DS-EPLB, "
    "which knows the coming hotness and moves for free (100 %). +N in a name: N redundant experts; without it, as many "
    "as devices (ep)."
)


def case_cells(row: Row, reference: Row) -> tuple[str, ...]:
    """The log's cells of a case, under HEADINGS; a dash where a failed case has no number."""
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


def cases_table(pairs: Sequence[tuple[Row, Row]], grid: Any, links: Sequence[str | None]) -> Markup:
    """The page's table, a row per case; links: where the page says more of each case.

    grid: as the results have it; its case_seconds are shown as the limit.
    """
    limit = grid.get("case_seconds") if isinstance(grid, dict) else None
    rows = [_cells(row, reference, limit, link) for (row, reference), link in zip(pairs, links, strict=True)]
    return table("Cases", COLUMNS, rows, "cases stacked", KEY)


def _cells(row: Row, reference: Row, limit: Any, link: str | None) -> tuple[object, ...]:
    name = element("a", case_name(row), href=link) if link else case_name(row)
    ok = row["status"] == "ok"
    status = element("span", row["status"], class_="ok" if ok else "bad")
    share = share_of_the_way(row, reference) if ok else None
    measured = [_measures(row, reference), _measures(reference, reference)] if ok else [None, _measures(reference)]
    submission, baseline = measured[0] or ("-",) * len(measured[1]), measured[1]
    compared = [
        content(value, " ", element("small", other, title="DS-EPLB"))
        for value, other in zip(submission, baseline, strict=True)
    ]
    return (name, status, *compared, "-" if share is None else f"{100 * share:.1f} %", _policy_seconds(row, limit))


def _measures(row: Row, reference: Row | None = None) -> tuple[str, ...]:
    """Case score, mean PAR, transmit, and seconds: all, of compute, of transfer."""
    cost = row["cost"]
    compute = cost["balanced_compute_seconds"] * row["mean_par"]
    seconds = modeled_seconds(row)
    score = f"{case_score(row, reference or row):.2f}"
    parts = (f"{seconds:.3f}", f"{compute:.3f}", f"{seconds - compute:.3f}")
    return (score, f"{row['mean_par']:.4f}", str(row["transmit_amount"]), *parts)


def _policy_seconds(row: Row, limit: Any) -> object:
    if not is_number(row.get("policy_seconds")):
        return "-"
    of = element("small", f"of {limit:g} s") if is_number(limit) else None
    return content(f"{row['policy_seconds']:.3f}", " ", of)
