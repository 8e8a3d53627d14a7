"""The detailed-results page: one file, no remote asset, everything from a participant escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from comparison import Row, case_name, is_number, message_of
from modeled_runtime import case_score, modeled_seconds

TEMPLATE = Template(Path(__file__).with_name("report.html").read_text(encoding="utf-8"))
HEADINGS = ("case", "status", "mean_par", "transmit", "modeled s", "DS-EPLB s", "case score", "policy s")
TITLE = "Dynamic expert placement: detailed results"


def scored_page(scores: dict[str, float], pairs: Sequence[tuple[Row, Row]], versions: dict[str, Any]) -> str:
    """The page of a submission that finished."""
    explanation = (
        "Mean of the case scores. DS-EPLB scores 100 in every case; a score above 100 means less modeled time. "
        f"mean_par {scores['mean_par']:.4f} ({scores['par_vs_ds_eplb']:.4f} of DS-EPLB's), transmit_amount "
        f"{scores['transmit_amount']} ({scores['transmit_vs_ds_eplb']:.4f} of DS-EPLB's)."
    )
    return _page(f"composite_score {scores['composite_score']:.4f}", explanation, pairs, [], versions)


def failed_page(
    status: str, message: str, pairs: Sequence[tuple[Row, Row]], failures: Sequence[Row], versions: dict[str, Any]
) -> str:
    """The page of a submission without a score: what failed, and the message of each failing case."""
    return _page(f"No score: {status}", message, pairs, failures, versions)


def case_cells(row: Row, reference: Row) -> tuple[str, ...]:
    """The table's cells of a case, under HEADINGS; a dash where a failed case has no number."""
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


def _page(
    headline: str,
    explanation: str,
    pairs: Sequence[tuple[Row, Row]],
    failures: Sequence[Row],
    versions: dict[str, Any],
) -> str:
    cells = [case_cells(row, reference) for row, reference in pairs]
    listed = [(case_name(row), row["status"], message_of(row)) for row in failures]
    receipt = ", ".join(f"{name} {version}" for name, version in versions.items())
    return TEMPLATE.substitute(
        title=escape(TITLE),
        headline=escape(headline),
        explanation=escape(explanation),
        table=_table(HEADINGS, cells) if cells else "",
        failures="<h2>What failed</h2>" + _table(("case", "status", "message"), listed) if listed else "",
        receipt=escape(receipt),
    )


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(heading)}</th>' for heading in headings)
    body = "\n".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def _cell(text: str) -> str:
    kind = ' class="text"' if len(text) > 40 else ""
    return f"<td{kind}>{escape(text)}</td>"
