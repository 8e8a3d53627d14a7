"""HTML from plain values. Every value that is not yet Markup is escaped, so no caller can forget to."""

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
    """Finished HTML. Every other text is content, and is escaped."""


def content(*parts: object) -> Markup:
    """Join parts: Markup stays as it is, every other value is escaped, None is left out."""
    return Markup("".join(_escaped(part) for part in parts if part is not None))


def element(tag: str, *parts: object, **attributes: str | bool | None) -> Markup:
    """An element with content.

    `class_` stands for class, `aria_label` for aria-label; an attribute that is True has no value, one that is None is
    left out.
    """
    names = {name: name.rstrip("_").replace("_", "-") for name in attributes}
    written = [
        f" {names[name]}" if value is True else f' {names[name]}="{_escaped(value)}"'
        for name, value in attributes.items()
        if value is not None and value is not False
    ]
    end = "" if tag in VOID else f"{content(*parts)}</{tag}>"
    return Markup(f"<{tag}{''.join(written)}>{end}")


def joined(parts: Iterable[object], between: str = "\n") -> Markup:
    """Join parts with a text between them."""
    return Markup(_escaped(between).join(_escaped(part) for part in parts))


def table(
    caption: str,
    headings: Sequence[str],
    rows: Iterable[Sequence[object]],
    kind: str | None = None,
    note: str | None = None,
) -> Markup:
    """A table whose first column names the rows. A wide table is in a box that scrolls sideways by pointer and by key.

    Every cell carries the heading of the column, for narrow screens; the note stands in the caption.
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
    """A figure with a caption: the title, and a note in small type."""
    caption = element("figcaption", title, " ", element("span", note, class_="muted"))
    # Not every browser takes a figure's name from its caption.
    return element("figure", caption, *parts, class_=kind, aria_label=f"{title}: {note}")


def folded(summary: object, *parts: object, kind: str | None = None, is_open: bool = False) -> Markup:
    """Content behind a summary line. Pointer and key open the content without a script."""
    return element("details", element("summary", summary), *parts, class_=kind, open=is_open)


def download(name: str, headings: Sequence[object], rows: Iterable[Sequence[object]]) -> Markup:
    """A link that saves a table as CSV. The page holds the table's text, so no server is asked."""
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
