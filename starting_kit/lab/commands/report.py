"""What a recommendation says, and the files that keep it: plans, the page, the same as Markdown."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from placement.traces.whole_file import write_whole
from scores.table import cells, markdown

from ..experiments.page import html_page
from ..experiments.recommendation import Row
from ..experiments.run_record import digest
from ..planning.plan_file import PlanFile, save_plan
from ..serving.replicas import order_of
from ..serving.torus import Torus
from ..traces.routing_trace import RoutingTrace

if TYPE_CHECKING:
    import pandas as pd


def write_pages(
    folder: Path,
    told: list[str],
    basis: str,
    tables: dict[str, pd.DataFrame],
    notes: list[str],
    plots: dict[str, bytes],
    missing: str,
) -> None:
    """recommendation.html, and recommendation.md, which points to the plots in the former.

    plots: PNG by caption; missing: why there are none, or nothing. Raises OSError.
    """
    write_whole(folder / "recommendation.html", html_page([*told, basis], tables, plots, missing, notes).encode())
    pictures = [f"Plots, in [the page](recommendation.html): {'; '.join(plots)}."] if plots else []
    shown = [text_of(told, basis, tables, notes), *pictures, *([missing] if missing else [])]
    write_whole(folder / "recommendation.md", ("\n\n".join(shown) + "\n").encode())


def save_plans(
    folder: Path,
    rows: list[Row],
    chosen: int,
    load: np.ndarray,
    traces: dict[str, RoutingTrace],
    options: argparse.Namespace,
    torus: Torus,
) -> None:
    """plan.npz of the chosen row, and plans/NUMBER.npz of every row; those of an earlier run with more rows go."""
    trace, sources = next(iter(traces.values())), tuple(digest(path) for path in options.traces)
    for old in (folder / "plans").glob("*.npz"):
        if old.stem.isdecimal():
            old.unlink()
    for number, row in enumerate(rows, 1):
        replicas = [planned.replicas for planned in row.planned]
        plan = PlanFile(
            *(np.stack([one.table for one in replicas]), np.stack([order_of(one) for one in replicas])),
            *(trace.layers, trace.experts, options.shared, torus.rows, torus.cols),
            *(row.routers, sources, load),
        )
        save_plan(folder / "plans" / f"{number}.npz", plan)
        if number == chosen + 1:
            save_plan(folder / "plan.npz", plan)


def notes_of(rows: list[Row], shared: bool) -> list[str]:
    """What the table does not say of itself."""
    notes = [
        "even PAR: largest load of a device by the mean one, held out, a mean over batches and layers, where each "
        "replica serves an equal part of its expert's tokens, as it does in the competition"
        + (", which has no shared expert." if shared else "."),
        "plans/NUMBER.npz is the plan of a row; plan.npz is that of the row to deploy.",
    ]
    if any(len(set(row.routers)) > 1 for row in rows):
        notes.append("Of several routers, each layer has the one that was best in planning; `simulate` lists them.")
    return notes


def basis_of(options: argparse.Namespace, planned: int) -> str:
    """What the figures are, and what they are not."""
    chosen = {"time": "the requests that came first, measured on those that came later"}
    chosen["random"] = "requests drawn at random, measured on the others"
    return (
        f"us per batch of {options.batch} tokens over all layers, planned from {planned} batches of "
        f"{chosen[options.split]}; low and high: 95 % of the bootstrap over batches. These are us of the cost model "
        f"(preset {options.preset}), whose constants are those of the published simulator's machine, for every model: "
        "they compare plans, and are no forecast for other devices."
    )


def text_of(told: list[str], basis: str, tables: dict[str, pd.DataFrame], notes: list[str]) -> str:
    """The page as Markdown, for the terminal too."""
    parts = ["## Recommendation", "\n".join(f"- {sentence}" for sentence in told), basis]
    for heading, frame in tables.items():
        parts += [f"## {heading}", markdown(*cells(frame), ".1f")]
    return "\n\n".join(parts + notes)
