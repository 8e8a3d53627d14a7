"""The page of a sweep: one HTML file without remote assets, whatever names a policy or a trace escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from .choice import HEADINGS, choices
from .panels import MOST_PANELS, parameter_panels, redundancy_panels, transmit_panels
from .plan import OK
from .plots import Panel, draw, legend
from .table import cost_text, shown

if TYPE_CHECKING:
    import pandas as pd

TEMPLATE = Template(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))
GLOSSARY = {
    "case_score": "100 times DS-EPLB's modeled seconds on the same case over the policy's: above 100 is better",
    "mean_par": "the busiest device's load over the mean, mean over all iterations and layers; balancedness is 1 / it",
    "fixed_par": "the part of mean_par - 1 from before the first redeployment: no policy changes it",
    "par_p50, par_p95, par_p99": "percentiles of the PAR of all iterations and layers, nearest-rank",
    "transmit_amount": "how many slots changed over the whole trace; moved bytes are this times expert_bytes",
    "largest_transmit": "the slots that the largest redeployment of one call changed",
    "modeled_seconds": "balanced_compute_seconds times mean_par, plus the seconds in which moved experts are copied",
    "replica_gb_per_device": "memory of redundant experts on a device: layers x redundant_experts / ep x expert_bytes",
    "policy_seconds": "wall clock of the policy's start and calls; counts for nothing",
}


def page(frame: pd.DataFrame, trusted: str, made_with: Mapping[str, str]) -> str:
    """The page of a table; trusted: what held of the policies; made_with: versions."""
    kinds = {
        "redundancy": ("PAR against redundancy", redundancy_panels(frame)),
        "parameters": ("Score against parameter", parameter_panels(frame, frame.attrs["values"])),
        "transmit": ("PAR against transmit", transmit_panels(frame)),
    }
    return TEMPLATE.substitute(
        headline=escape(_headline(frame)),
        cost=escape(cost_text(frame.attrs["cost"])),
        seconds=f"{frame.attrs['cost']['balanced_compute_seconds']:g}",
        trusted=escape(f"{trusted[0].upper()}{trusted[1:]}."),
        failed="\n".join(f'<p class="failed">{escape(line)}</p>' for line in frame.attrs["failed"]),
        choices=_table(HEADINGS, choices(frame)),
        table=_table(list(shown(frame)), shown(frame).itertuples(index=False)),
        glossary="\n".join(f"<dt>{escape(name)}</dt><dd>{escape(told)}</dd>" for name, told in GLOSSARY.items()),
        versions=escape(", ".join(f"{name} {version}" for name, version in made_with.items())),
        **{kind: _section(*section) for kind, section in kinds.items()},
    )


def _headline(frame: pd.DataFrame) -> str:
    failed = int((frame["status"] != OK).sum())
    policies, traces = frame["policy"].nunique(), len(frame[["model", "dataset"]].drop_duplicates())
    text = f"{len(frame)} rows: policies {policies}, traces {traces}."
    return text + (f" {failed} of the rows failed." if failed else "")


def _section(title: str, panels: Sequence[Panel]) -> str:
    if not panels:
        return ""
    figures = [
        f"<figure><figcaption>{escape(panel.title)}</figcaption>{draw(panel)}{legend(panel)}</figure>"
        for panel in panels[:MOST_PANELS]
    ]
    more = f'<p class="faint">The first {MOST_PANELS} of {len(panels)}.</p>' if len(panels) > MOST_PANELS else ""
    return f'<h2>{escape(title)}</h2>\n{more}<div class="plots">\n' + "\n".join(figures) + "\n</div>"


def _table(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    head = "".join(f'<th scope="col">{escape(heading).replace("_", "_<wbr>")}</th>' for heading in headings)
    body = "\n".join("<tr>" + "".join(f"<td>{escape(_text(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    parts = f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>"
    return f'<div class="wide"><table>\n{parts}\n</table></div>'


def _text(cell: Any) -> str:
    return f"{cell:.4f}" if isinstance(cell, float) else str(cell)
