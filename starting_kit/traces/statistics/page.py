"""One trace's page: a single HTML file without remote assets, everything that names a trace escaped."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from .glossary import BALANCE_FIGURES, DRIFT_FIGURES, LAYER_FIGURES, TRACE_FIGURES
from .plots import Plot
from .tables import (
    autocorrelation_table,
    balance_table,
    drift_table,
    family,
    headline,
    layer_table,
    neighbour_table,
    number,
    spectrum_table,
    variation_table,
)

TEMPLATE = Template(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))
# So many columns beside the layer's number fit on a phone.
MOST_COLUMNS = 4
NO_PLOTS = "Without matplotlib there are no plots. Next: .venv/bin/python -m pip install '.[plots]', then run again."


def page(summary: Mapping[str, Any], plots: Sequence[Plot] | None) -> str:
    """The page of a summary; plots: None where matplotlib is not installed."""
    curves = (spectrum_table, neighbour_table, variation_table, autocorrelation_table)
    versions = ", ".join(f"{name} {version}" for name, version in summary["versions"].items())
    return TEMPLATE.substitute(
        title=escape(f"Trace statistics: {summary['trace']}"),
        headline=escape(headline(summary)),
        origin=escape(f"Origin: {summary['origin']}. Values' sha256: {summary['sha256']}."),
        family=escape(family(summary)),
        notes="\n".join(f'<p class="note">Note: {escape(note)}.</p>' for note in summary["notes"]),
        drift=_table(*drift_table(summary), kind="drift"),
        balance=_table(*balance_table(summary)),
        layers=_table(*layer_table(summary)),
        plots=_plots(plots),
        curves="\n".join(_table(*table(summary)) for table in curves),
        every_layer=_every_layer(summary["layers"]),
        glossary="\n".join(
            f"<dt>{escape(name)}</dt><dd>{escape(meaning)}</dd>"
            for name, meaning in {**LAYER_FIGURES, **DRIFT_FIGURES, **TRACE_FIGURES, **BALANCE_FIGURES}.items()
        ),
        receipt=escape(versions),
    )


def _plots(plots: Sequence[Plot] | None) -> str:
    if plots is None:
        return f"<p>{escape(NO_PLOTS)}</p>"
    figures = [
        f"<figure><figcaption>{escape(plot.title)}</figcaption>"
        # An image of its own keeps the plots' ids apart and their namespaces out of the page.
        f'<img alt="Plot: {escape(plot.title)}; its figures are in the tables of this page and the JSON file"'
        f' width="432" height="245" src="data:image/svg+xml;base64,{base64.b64encode(plot.svg).decode("ascii")}">'
        "</figure>"
        for plot in plots
    ]
    return '<div class="plots">\n' + "\n".join(figures) + "\n</div>"


def _every_layer(layers: Mapping[str, Sequence[float | None]]) -> str:
    figures = [[name for name in layers if (name in LAYER_FIGURES) == own] for own in (True, False)]
    parts = [names[k : k + MOST_COLUMNS] for names in figures for k in range(0, len(names), MOST_COLUMNS)]
    tables = "\n".join(_table(("layer", *part), _rows([layers[name] for name in part])) for part in parts)
    count = len(next(iter(layers.values())))
    return f'<details><summary>{count} layers</summary>\n<div class="tables">\n{tables}\n</div>\n</details>'


def _rows(columns: Sequence[Sequence[float | None]]) -> list[Sequence[str]]:
    return [(str(layer), *map(number, row)) for layer, row in enumerate(zip(*columns, strict=True))]


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]], kind: str = "") -> str:
    head = "".join(f'<th scope="col">{_cell(heading)}</th>' for heading in headings)
    body = "\n".join("<tr>" + "".join(f"<td>{_cell(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    parts = f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>"
    return f'<div class="wide"><table class="{kind}">\n{parts}\n</table></div>'


def _cell(text: str) -> str:
    # A name may break where it has an underscore, so that its column need not be as wide.
    return escape(text).replace("_", "_<wbr>")
