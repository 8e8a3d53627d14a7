"""The recommendation as one HTML file, its plots inside."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #1c1f23;
  background: #fff; }
table { border-collapse: collapse; display: block; overflow-x: auto; font-size: 13px; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid #d5d9de; text-align: left; white-space: nowrap; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
img { max-width: 100%; height: auto; }
"""


def html_page(
    told: Sequence[str],
    tables: Mapping[str, pd.DataFrame],
    plots: Mapping[str, bytes],
    missing: str = "",
    notes: Sequence[str] = (),
) -> str:
    """A page of sentences, tables by heading, notes beneath them, and plots (PNG) by caption.

    missing: why there are no plots.
    """
    parts = ["<!doctype html>", '<html lang="en"><head><meta charset="utf-8"><title>Recommendation</title>']
    parts.append(f"<style>{STYLE}</style></head><body><h1>Recommendation</h1>")
    parts += [f"<p>{escape(sentence)}</p>" for sentence in told]
    for heading, frame in tables.items():
        parts.append(f"<h2>{escape(heading)}</h2>{_table(frame)}")
    notes = [*notes, missing]
    parts += [f"<p>{escape(note)}</p>" for note in notes if note]
    for caption, image in plots.items():
        data = base64.b64encode(image).decode()
        parts.append(f'<h2>{escape(caption)}</h2><img alt="{escape(caption)}" src="data:image/png;base64,{data}">')
    return "\n".join([*parts, "</body></html>\n"])


def _table(frame: pd.DataFrame) -> str:
    # A column of figures may hold them as texts, and a word where there is none.
    numbers = {name for name in frame if any(str(value)[:1].isdigit() for value in frame[name])}
    head = "".join(f"<th{_class(name in numbers)}>{escape(str(name))}</th>" for name in frame.columns)
    rows = []
    for values in frame.itertuples(index=False):
        texts = (f"{value:.1f}" if isinstance(value, float) else str(value) for value in values)
        pairs = zip(frame.columns, texts, strict=True)
        rows.append("<tr>" + "".join(f"<td{_class(name in numbers)}>{escape(text)}</td>" for name, text in pairs))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{'</tr>'.join(rows)}</tr></tbody></table>"


def _class(number: bool) -> str:
    return ' class="number"' if number else ""
