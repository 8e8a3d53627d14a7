"""Tables as text: aligned for a terminal, and as Markdown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

Rows = Iterable[Iterable[Any]]


def aligned(headings: Iterable[str], rows: Rows, form: str = ".4f") -> str:
    """Lines of columns two blanks apart: the first column aligned left, all others right.

    rows: a cell for each heading; form: the format of floats, as for `format`. Other values are written by str().
    """
    lines = _texts(headings, rows, form)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip() for line in lines
    )


def markdown(headings: Iterable[str], rows: Rows, form: str = ".2f") -> str:
    """A Markdown table; the arguments are those of `aligned`."""
    head, *body = _texts(headings, rows, form)
    lines = ["| " + " | ".join(line) + " |" for line in (head, *body)]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]])


def cells(frame: pd.DataFrame) -> tuple[list[str], Rows]:
    """Headings and rows of a pandas table, without the index."""
    return list(map(str, frame)), frame.itertuples(index=False)


def _texts(headings: Iterable[str], rows: Rows, form: str) -> list[list[str]]:
    return [list(headings), *([format(v, form) if isinstance(v, float) else str(v) for v in row] for row in rows)]
