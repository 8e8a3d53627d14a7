"""The detailed-results page: one file without remote assets; all text from a participant is escaped."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any

from ..companions import Companions
from ..comparison import Row
from ..modeled_runtime import modeled_seconds
from ..parts import seconds_above
from ..previous import Previous
from ..seconds_table import case_lever
from ..yardsticks import yardstick_row, yardstick_score
from .case_details import case_details
from .cases_table import case_columns, cases_table
from .failures import failure_list
from .markup import Markup, content, download, element, table
from .parts_table import parts_table
from .receipt_line import policy_line, receipt_lines, texts
from .since_last_run import change_line, parts_changes

FOLDER = Path(__file__).parent
UPLOT = FOLDER / "vendor" / "uplot"
TITLE = "Dynamic expert placement: detailed results"
# Even a text that got past the escaping could run no script and fetch nothing.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
LADDER = {
    "static": "static: no expert is ever moved",
    "ds_eplb": "DS-EPLB, the baseline",
    "policy": "this submission",
    "clairvoyant": "clairvoyant DS-EPLB: plans with the coming hotness, moves for free",
}
PURPOSES = {
    "sample": "The sample grid finds mistakes. Its score does not predict the score on the official grid.",
    "practice": "The practice grid ranks ideas. Its score is not the leaderboard's.",
    "official": "The official grid counts on the leaderboard.",
}


def scored_page(
    scores: dict[str, float],
    pairs: Sequence[tuple[Row, Row]],
    results: dict[str, Any],
    companions: Companions,
    previous: Previous | None = None,
    policy: str | None = None,
) -> str:
    """Make the page of a submission with a score.

    previous: an earlier run to compare with; policy: the policy's name, if known.
    """
    levers = [case_lever(row, reference, companions) for row, reference in pairs]
    gains = [_to_gain(row, reference) for row, reference in pairs]
    opened = gains.index(max(gains))
    headline = f"composite_score {scores['composite_score']:.4f}"
    explanation = (
        "Mean of the case scores. DS-EPLB scores 100 in every case. Above 100, the policy needs less modeled time. "
        f"mean_par {scores['mean_par']:.4f} ({scores['par_vs_ds_eplb']:.4f} of DS-EPLB's), transmit_amount "
        f"{scores['transmit_amount']} ({scores['transmit_vs_ds_eplb']:.4f} of DS-EPLB's)."
    )
    links = [f"#case-{number}" for number in range(1, len(pairs) + 1)]
    details = [
        case_details(row, reference, companions, advice, number, number == opened + 1)
        for number, ((row, reference), advice) in enumerate(zip(pairs, levers, strict=True), 1)
    ]
    body = content(
        change_line(scores["composite_score"], previous),
        _ladder(scores["composite_score"], [reference for _, reference in pairs]),
        cases_table(pairs, results.get("grid"), links, previous),
        download("cases.csv", *case_columns(pairs)),
        parts_table(pairs, levers, links),
        parts_changes(pairs, previous),
        element("h2", "Each case"),
        element("p", "The opened case has the most seconds above clairvoyant DS-EPLB.", class_="muted"),
        *(element("p", note, class_="note") for note in companions.notes),
        *details,
    )
    return _page(headline, explanation, body, results, policy, scripts=bool(companions.series))


def _to_gain(row: Row, reference: Row) -> float:
    """Seconds above clairvoyant DS-EPLB; above a perfect balance where the reference has no clairvoyant DS-EPLB."""
    clairvoyant = yardstick_row(reference, "clairvoyant")
    return modeled_seconds(row) - modeled_seconds(clairvoyant) if clairvoyant else seconds_above(row)


def failed_page(
    status: str,
    message: str,
    pairs: Sequence[tuple[Row, Row]],
    failures: Sequence[Row],
    results: dict[str, Any],
    policy: str | None = None,
) -> str:
    """Make the page of a submission without a score: what failed, and each failing case.

    pairs: the cases that may be shown; policy: the policy's name, if known. The page has no curves: a submission that
    fails costs no attempt, so participants could collect measurements without limit.
    """
    body = content(
        failure_list(failures, (results.get("grid") or {}).get("case_seconds")) if failures else None,
        cases_table(pairs, results.get("grid"), [None] * len(pairs)) if pairs else None,
    )
    return _page(f"No score: {status}", message, body, results, policy, scripts=False)


def _ladder(composite: float, references: Sequence[Row]) -> Markup:
    """The composite score among the yardsticks' composite scores, lowest first."""
    scores = {"policy": composite, "ds_eplb": 100.0}
    scores |= {name: yardstick_score(references, name) for name in ("static", "clairvoyant")}
    known = {name: score for name, score in scores.items() if score is not None}
    highest = max(known.values())
    rows = []
    for name in sorted(known, key=lambda name: known[name]):
        width = f"width:{100 * known[name] / highest:.1f}%"
        bar = element("div", element("div", class_=f"bar {name}", style=width), class_="track")
        rows.append((LADDER[name], f"{known[name]:.2f}", bar))
    return table("Composite scores", ("who", "score", "score as a bar"), rows, "ladder")


def _page(
    headline: str, explanation: str, body: Markup, results: dict[str, Any], policy: str | None, scripts: bool
) -> str:
    styles = _read(FOLDER / "report.css") + (_read(UPLOT / "uPlot.min.css") if scripts else "")
    files = (UPLOT / "uPlot.iife.min.js", FOLDER / "report.js", FOLDER / "sort.js")
    script = "".join(map(_read, files)) if scripts else ""
    purpose = PURPOSES.get(texts(results.get("receipt")).get("grid", ""))
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    allowed = f"; script-src 'sha256-{digest}'" if scripts else ""
    return Template(_read(FOLDER / "report.html")).substitute(
        title=content(TITLE),
        security=content(POLICY + allowed),
        policy=content(policy_line(results, policy)),
        styles=styles,
        headline=content(headline),
        explanation=content(explanation),
        purpose=content(element("p", purpose, class_="muted") if purpose else None),
        body=body,
        receipt=receipt_lines(results),
        script=content(_licence(), Markup(f"<script>{script}</script>")) if scripts else "",
    )


def _licence() -> Markup:
    """The licence of the plotting script. It must accompany every copy of the script."""
    return Markup(f"<!-- uPlot:\n{_read(UPLOT / 'LICENSE')}-->\n")


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")
