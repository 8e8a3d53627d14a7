"""The page of a case: one HTML file without remote assets, in which all text is escaped."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from .content import call_rows

FOLDER = Path(__file__).parent
TEMPLATE, STYLE, SCRIPT = ((FOLDER / f"page.{end}").read_text(encoding="utf-8") for end in ("html", "css", "js"))
HEADINGS = ("call", "iteration", "layers listed", "applied", "changed slots", "seconds gained", "paid", "net")


def page(title: str, subtitle: str, row: Mapping[str, Any], content: Mapping[str, Any]) -> str:
    """The page of a case.

    title: the case's name; subtitle: the run and the policy; row: its row of results.json; content: as of content_of.
    """
    return Template(TEMPLATE).substitute(
        title=escape(title),
        subtitle=escape(subtitle),
        headline=f"Mean PAR (peak-to-average ratio) {row['mean_par']:.4f}, {row['transmit_amount']} changed slots.",
        calls=_calls_table(call_rows(content)),
        layers=_options(content["sizes"]["layers"]),
        pieces=len(content["pieces"]["calls"]) - 1,
        devices=content["sizes"]["devices"] - 1,
        content=_embedded(content),
        style=STYLE,
        script=SCRIPT,
    )


def _calls_table(rows: Sequence[Sequence[Any]]) -> str:
    if not rows:
        return "<p>The policy was never called: the trace is no longer than the window.</p>"
    head = "".join(f'<th scope="col">{heading}</th>' for heading in HEADINGS)
    body = "\n".join(_call_line(*row) for row in rows)
    parts = f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>"
    region = '<div class="wide" tabindex="0" role="region" aria-label="The calls">'
    return f'{region}<table id="calls" aria-label="The calls">\n{parts}\n</table></div>'


def _call_line(number: int, iteration: int, listed: int, applied: int, changed: int, gained: float, paid: float) -> str:
    cells = [
        iteration,
        listed or "declined",
        applied,
        changed,
        *(f"{value:+.3f}" for value in (gained, -paid, gained - paid)),
    ]
    row = "".join(f"<td>{cell}</td>" for cell in cells)
    return f'<tr data-call="{number}"><th scope="row"><button type="button">{number}</button></th>{row}</tr>'


def _options(layers: int) -> str:
    return "".join(f'<option value="{layer}">{layer}</option>' for layer in range(layers))


def _embedded(content: Mapping[str, Any]) -> str:
    """JSON that no text of ends the script's element."""
    return json.dumps(content, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
