"""HTML from plain values: whatever is not yet markup is escaped, so that nobody has to remember to."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from html import escape
from urllib.parse import quote

VOID = ("img",)
# Columns that fit on any screen.
FITS = 4


class Markup(str):
    """HTML that is written already; every other text is content."""


def content(*parts: object) -> Markup:
    """Parts one after another: markup as it is, everything else escaped, None left out."""
    return Markup("".join(_escaped(part) for part in parts if part is not None))


def element(tag: str, *parts: object, **attributes: str | bool | None) -> Markup:
    """An element with content. Attributes: `class_` is class, `aria_label` is aria-label, True has no value, None is
    left out."""
    names = {name: name.rstrip("_").replace("_", "-") for name in attributes}
    written = [
        f" {names[name]}" if value is True else f' {names[name]}="{_escaped(value)}"'
        for name, value in attributes.items()
        if value is not None and value is not False
    ]
    end = "" if tag in VOID else f"{content(*parts)}</{tag}>"
    return Markup(f"<{tag}{''.join(written)}>{end}")


def joined(parts: Iterable[object], between: str = "\n") -> Markup:
    """Parts with a text between them."""
    return Markup(_escaped(between).join(_escaped(part) for part in parts))


def table(
    caption: str,
    headings: Sequence[str],
    rows: Iterable[Sequence[object]],
    kind: str | None = None,
    note: str | None = None,
) -> Markup:
    """A table whose first column names its rows; a wide one is in a box that scrolls sideways by pointer and by key.

    Every cell carries its column's heading, which a narrow screen shows in the cell; the note stands in the caption.
    """
    head = content(*(element("th", heading, scope="col") for heading in headings))
    body = joined(element("tr", *_cells(headings, row)) for row in rows)
    parts = (
        element("caption", caption, element("span", note, class_="muted") if note else None),
        element("thead", element("tr", head)),
        element("tbody", "\n", body, "\n"),
    )
    box = element("table", *parts, class_=kind)
    if len(headings) <= FITS:
        return box
    return element("div", box, class_="wide", tabindex="0", role="region", aria_label=caption)


def figure(title: str, note: str, *parts: object, kind: str | None = None) -> Markup:
    """A figure with a caption: its title, and a note in small."""
    caption = element("figcaption", title, " ", element("span", note, class_="muted"))
    # Not every browser takes a figure's name from its caption.
    return element("figure", caption, *parts, class_=kind, aria_label=f"{title}: {note}")


def folded(summary: object, *parts: object, kind: str | None = None, is_open: bool = False) -> Markup:
    """Content behind a line that opens it, by pointer and by key, without a script."""
    return element("details", element("summary", summary), *parts, class_=kind, open=is_open)


def download(name: str, headings: Sequence[object], rows: Iterable[Sequence[object]]) -> Markup:
    """A link that saves a table as CSV, from the page itself."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([headings, *rows])
    # Shorter than base64, as most of a table is digits.
    data = quote(text.getvalue(), safe=", ")
    return element("a", f"Download {name}", href=f"data:text/csv,{data}", download=name, class_="download")


def _cells(headings: Sequence[str], row: Sequence[object]) -> list[Markup]:
    first, *others = row
    cells = [element("th", first, scope="row")]
    for heading, cell in zip(headings[1:], others, strict=True):
        cells.append(element("td", cell, data_label=heading))
    return cells


def _escaped(part: object) -> str:
    return part if isinstance(part, Markup) else escape(str(part))
