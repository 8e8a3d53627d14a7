"""`matrix`: the experiments of one or several traces, as CSV, Markdown and plots."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from placement.errors import Problem
from placement.evaluation.grid_run import cores
from scores.table import cells, markdown

from ..experiments.gate_report import matrix_gates
from ..experiments.hedging import alpha_sweep
from ..experiments.matrix import matrix
from ..experiments.methods import REPLICATED, Setting
from ..experiments.oracle_row import oracle_rows
from ..experiments.plots import coactivation_map, frequency_curves, latency_breakdown, placement_grid
from ..experiments.replanning import replanning_rows
from ..experiments.rows_together import rows_together
from ..planning.choice import Choice, robust_table
from ..serving.routers import name_of
from ..serving.routing import row_blocks
from ..serving.torus import Torus
from ..traces.batches import Batches
from ..traces.statistics import coactivation
from .gating import gate_texts
from .plans import grid_of
from .scale import SAMPLE, add_jobs, add_order, add_tokens, batch_seed, open_trace
from .settings import add_config, check_sizes

if TYPE_CHECKING:
    import pandas as pd

# What the even tables of the hedges and across data sets are made for.
ROUTER = row_blocks
COLUMNS = (
    *("data_set", "layer", "setting", "row", "plan", "router", "run", "mean", "p50", "p95", "p99"),
    *("par", "max_device_tokens", "rows_per_token", "plan_seconds", "route_ms"),
)


def add_matrix(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    parser = commands.add_parser("matrix", help="compare baseline, nearline, offline and an oracle on traces")
    parser.add_argument(
        "traces", nargs="*", type=Path, metavar="TRACE", help="traces, each one a data set named by its file"
    )
    parser.add_argument(
        "--grid", default="", metavar="ROWSxCOLS", help="grid of devices (default: a device for every two experts)"
    )
    parser.add_argument("--slots", type=int, default=3, help="slots per device, with replicas (default: 3)")
    parser.add_argument("--batch", type=int, default=256, help="tokens per batch (default: 256)")
    parser.add_argument("--layers", type=int, default=1, help="number of layers of each trace (default: 1)")
    parser.add_argument("--swaps", type=int, default=4000, help="swaps that the offline method tries (default: 4000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--held-out", action="store_true", help="plan from the first half, measure on the second")
    parser.add_argument("--no-plots", action="store_true")
    parser.add_argument("--output", type=Path, default=Path("../output/lab/matrix"))
    add_order(parser)
    add_tokens(parser, SAMPLE)
    add_jobs(parser, cores())
    add_config(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Measure, print the table, write CSV, Markdown and plots."""
    import pandas as pd

    check_sizes(options, slots=1, batch=1, layers=1, swaps=0, seed=0)
    if not options.traces:
        raise Problem("no trace is named", "none", "TRACE, or traces in the configuration", "name one or several")
    traces = {path.stem: open_trace(options, path) for path in options.traces}
    if len(traces) != len(options.traces):
        got, expected = ", ".join(path.name for path in options.traces), "different names, which name the data sets"
        raise Problem("two traces have the same file name", got, expected, "rename one")
    if len(experts := sorted({trace.experts for trace in traces.values()})) > 1:
        got = f"{', '.join(map(str, experts))} experts"
        raise Problem("the traces are of several models", got, "one number of experts", "compare them one by one")
    torus = grid_of(options.grid, next(iter(traces.values())).experts)
    batches = {
        (name, layer): trace.batches(at, options.batch, torus.rows, batch_seed(options))
        for name, trace in traces.items()
        for at, layer in list(enumerate(trace.layers))[: options.layers]
    }
    setting = Setting(torus, options.slots, True, swaps=options.swaps, seed=options.seed)
    frame = matrix(batches, setting, options.held_out, options.jobs)
    if frame.empty:
        got, expected = f"{options.slots} slots on {torus.devices} devices", "a slot for every expert, and layers"
        raise Problem("no setting fits the grid", got, expected, "correct --grid, --slots or --layers")
    options.output.mkdir(parents=True, exist_ok=True)
    frame.to_csv(options.output / "matrix.csv", index=False)
    sample = "held out: planned from the first half of the batches, measured on the second"
    sample = sample if options.held_out else "in sample: planned from the batches that it is measured on"
    parts = [f"## Matrix, {sample}", markdown(*cells(frame[list(COLUMNS)]))]
    heading, ladders, told = oracle_rows(batches, options.seed)
    ladders.to_csv(options.output / "oracle.csv", index=False)
    parts += [heading, markdown(*cells(ladders), ".4f"), *told]
    first = {name: batches[name, traces[name].layers[0]] for name in traces}
    shown = next(iter(first.values()))
    if options.slots * torus.devices >= shown.experts + torus.rows:
        if shown.count > 1:
            sweep = alpha_sweep(shown, torus, ROUTER, options.slots)
            sweep.to_csv(options.output / "alpha.csv", index=False)
            title = "## Hedges, planned from the first half of the batches, measured on the second"
            parts += [f"{title} (router {name_of(ROUTER)})", markdown(*cells(sweep))]
            together = rows_together(shown, torus, options.slots, options.seed)
            together.to_csv(options.output / "rows.csv", index=False)
            title = "## Experts together in rows, planned from the first half of the batches, measured on the second"
            note = "(cut_share and largest_load, by that of loads alone, are in sample; others on the second half)"
            parts += [f"{title} (router {name_of(ROUTER)})", markdown(*cells(together), ".3f"), note]
        if len(first) > 1:
            _, ratios = robust_table(first, Choice(slots=options.slots, shared=True), torus, ROUTER)
            across = pd.DataFrame.from_dict(ratios, orient="index", columns=list(first)).rename_axis("plan")
            across["worst"] = across.max(axis=1)
            across.to_csv(options.output / "robust.csv")
            title = f"## Plans across data sets, in sample: ratio to the own plan (router {name_of(ROUTER)})"
            parts += [title, markdown(*cells(across.reset_index()), ".4f")]
            parts.append(f"The robust plan: {across['worst'].idxmin()}.")
    gates = matrix_gates(*next(iter(traces.items())), setting, options.batch, batch_seed(options), options.held_out)
    parts += gate_texts(options.output / "gating.csv", *gates)
    parts += _section(*replanning_rows(traces, options.batch, torus, options.slots))
    text = "\n\n".join(parts)
    (options.output / "matrix.md").write_text(text + "\n", encoding="utf-8")
    print(text)
    if not options.no_plots:
        _plots(options, frame, first, torus)
    print(f"\nwritten: {options.output}")
    return 0


def _section(heading: str, rows: pd.DataFrame, told: list[str]) -> list[str]:
    """A heading, a table where there are rows, and sentences."""
    table = [markdown(*cells(rows))] if len(rows) else []
    return [f"## {heading}", *table, "\n".join(f"- {sentence}" for sentence in told)]


def _plots(options: argparse.Namespace, frame: object, first: dict[str, Batches], torus: Torus) -> None:
    shown = next(iter(first.values()))
    try:
        latency_breakdown(options.output / "latency.png", frame)
        frequency_curves(options.output / "frequencies.png", first)
        coactivation_map(options.output / "coactivation.png", coactivation(shown.choices, shown.experts))
        if options.slots * torus.devices >= shown.experts + torus.rows:
            batches = shown.with_shared()
            planned = REPLICATED[1].plan(batches, Setting(torus, options.slots, True))
            placed = planned.router(batches, planned.replicas)
            placement_grid(options.output / "placement.png", batches, planned.replicas, placed, torus)
    except Problem as error:
        print(f"\nno plots: {error}")
