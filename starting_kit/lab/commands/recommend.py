"""`recommend`: which plan and router to deploy, measured on requests that came after those planned from."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from placement.errors import Problem
from placement.evaluation.grid_run import cores

from ..experiments.gate_report import printed_gates, recommended_gates
from ..experiments.methods import PAR, Setting
from ..experiments.oracle_row import gap_sentence
from ..experiments.plots import recommendation_plots
from ..experiments.recommendation import SHOWN, best, by_data_set, compare, frame_of, printed
from ..experiments.replanning import replanning_rows
from ..experiments.run_record import write_record
from ..experiments.split import drawn, drift, joined, split
from ..experiments.verdict import drifted, verdict
from ..serving.cost import PRESETS
from ..serving.torus import Torus
from ..traces.batches import Batches
from ..traces.routing_trace import RoutingTrace
from .plans import grid_of
from .report import basis_of, notes_of, save_plans, text_of, write_pages
from .scale import SAMPLE, add_jobs, add_tokens, open_trace
from .settings import add_config, check_sizes

if TYPE_CHECKING:
    import pandas as pd


def add_recommend(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    parser = commands.add_parser("recommend", help="recommend a plan and a router, with the expected latency")
    parser.add_argument("traces", nargs="*", type=Path, metavar="TRACE", help="one or several data sets of a model")
    parser.add_argument(
        "--grid", default="", metavar="ROWSxCOLS", help="grid of devices (default: a device for every two experts)"
    )
    parser.add_argument("--slots", type=int, default=3, help="slots per device (default: 3)")
    parser.add_argument("--shared", action="store_true", help="every token also takes the shared expert")
    objective = (
        "goal: a statistic of the batches' latency, or par: even loads, as a policy of the competition needs "
        "(default: mean)"
    )
    parser.add_argument("--objective", choices=[*SHOWN, PAR], default="mean", help=objective)
    presets = sorted(name for name, preset in PRESETS.items() if not preset.dense)
    parser.add_argument(
        "--preset", choices=presets, default="compat", help="preset of the cost model (default: compat)"
    )
    parser.add_argument("--batch", type=int, default=256, help="tokens per batch (default: 256)")
    parser.add_argument("--share", type=float, default=0.5, help="share of the tokens to plan from (default: 0.5)")
    told = "split requests in the order of the file, or at random where that order is not time (default: time)"
    parser.add_argument("--split", choices=["time", "random"], default="time", help=told)
    parser.add_argument(
        "--plan-batches", type=int, default=40, metavar="N", help="number of batches to plan from (default: 40)"
    )
    parser.add_argument(
        "--held-out-batches", type=int, default=400, metavar="N", help="number of batches to measure on (default: 400)"
    )
    parser.add_argument(
        "--swaps",
        type=int,
        default=4000,
        help="swaps that offline methods try per layer; 0: no offline methods (default: 4000)",
    )
    parser.add_argument("--draws", type=int, default=1000, help="draws of the bootstrap (default: 1000)")
    parser.add_argument("--seed", type=int, default=0, help="seed of batches, searches and bootstraps (default: 0)")
    parser.add_argument("--no-plots", action="store_true")
    parser.add_argument("--output", type=Path, default=Path("../output/lab/recommendation"), help="a folder")
    add_tokens(parser, SAMPLE)
    add_jobs(parser, cores())
    add_config(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Plan, measure, print, and write the plan, the tables, the page and the record."""
    begun = time.perf_counter()
    sizes = {"slots": 1, "batch": 1, "plan_batches": 1, "held_out_batches": 1, "swaps": 0, "draws": 1, "seed": 0}
    check_sizes(options, **sizes)
    if not 0 < options.share < 1:
        raise Problem("--share leaves no part", str(options.share), "between 0 and 1", "correct --share")
    traces = _traces(options)
    torus = grid_of(options.grid, next(iter(traces.values())).experts)
    planning, held_out, data_set = _batches(traces, torus, options)
    setting = Setting(
        *(torus, options.slots, options.shared, PRESETS[options.preset]),
        swaps=options.swaps,
        seed=options.seed,
        objective=options.objective,
    )
    rows = compare(planning, held_out, setting, options.jobs, _progress)
    told = verdict(rows, options.objective, options.draws, options.seed, options.shared)
    if options.split == "time":
        for name, trace in traces.items():
            told += drifted(*drift(trace, options.share), name if len(traces) > 1 else "")
    told.append(gap_sentence(planning[0], next(iter(traces.values())).layers[0], options.shared, options.seed))
    frame = frame_of(rows, options.draws, options.seed)
    tables, notes = {"Methods": printed(frame)}, notes_of(rows, options.shared)
    if len(traces) > 1:
        tables["Data sets"] = by_data_set(rows, data_set)
    how = options.batch, options.share, options.seed if options.split == "random" else None
    heading, gates, more = recommended_gates(*next(iter(traces.items())), rows, setting, *how)
    tables |= {} if gates is None else {heading: printed_gates(gates)}
    notes += more
    _add_online(tables, notes, traces, torus, options)
    basis = basis_of(options, planning[0].count)
    print(text_of(told, basis, tables, notes))
    chosen, folder = best(rows, options.objective), options.output
    (folder / "plans").mkdir(parents=True, exist_ok=True)
    frame.to_csv(folder / "methods.csv", index=False)
    if gates is not None:
        gates.to_csv(folder / "gating.csv", index=False)
    load = np.stack([batches.load[:, : batches.experts - options.shared].mean(axis=0) for batches in planning])
    save_plans(folder, rows, chosen, load, traces, options, torus)
    plots, missing = {}, ""
    try:
        if not options.no_plots:
            plots = recommendation_plots(rows, rows[chosen], held_out[0], torus, next(iter(traces.values())).layers)
    except Problem as problem:
        missing = f"No plots: {problem}"
        print(f"\n{missing}")
    write_pages(folder, told, basis, tables, notes, plots, missing)
    settings = {name: value for name, value in vars(options).items() if name not in ("run", "command")}
    found = {"recommendation": told, "seconds": round(time.perf_counter() - begun, 2)}
    write_record(folder / "run.json", settings, options.traces, folder / "plan.npz", **found)
    print(f"\nwritten: {folder} (plan.npz, plans/, recommendation.html, recommendation.md, methods.csv, run.json)")
    return 0


def _add_online(
    tables: dict[str, pd.DataFrame],
    notes: list[str],
    traces: dict[str, RoutingTrace],
    torus: Torus,
    options: argparse.Namespace,
) -> None:
    """What replanning while serving is worth, where the file's order is that of time."""
    if options.split == "random":
        notes.append("No plan is replaced online: with --split random the file's order is not time.")
        return
    heading, frame, told = replanning_rows(traces, options.batch, torus, options.slots, PRESETS[options.preset])
    if len(frame):
        tables[heading] = frame
    notes += told


def _progress(text: str) -> None:
    """Beside the result, which is what stdout holds."""
    print(text, end="", file=sys.stderr, flush=True)


def _traces(options: argparse.Namespace) -> dict[str, RoutingTrace]:
    """The traces by name. Raises Problem where they are none, or of several models."""
    paths = options.traces
    if not paths:
        raise Problem("no trace is named", "none", "TRACE, or traces in the configuration", "name one or several")
    traces = {path.stem: open_trace(options, path) for path in paths}
    if len(traces) < len(paths):
        got, expected = ", ".join(path.name for path in paths), "different names, which name the data sets"
        raise Problem("two traces have the same file name", got, expected, "rename one")
    shapes = {(trace.experts, trace.layers, trace.choices.shape[2]): name for name, trace in traces.items()}
    if len(shapes) > 1:
        got = "; ".join(
            f"{name}: {experts} experts, {len(layers)} layers, {k} per token"
            for (experts, layers, k), name in shapes.items()
        )
        raise Problem("the traces are of several models", got, "one model", "recommend for each model alone")
    return traces


def _batches(
    traces: dict[str, RoutingTrace], torus: Torus, options: argparse.Namespace
) -> tuple[list[Batches], list[Batches], list[str]]:
    """Planning and held-out batches of each layer, of all data sets, and the name of each held-out batch's."""
    planning, held_out, data_set = [], [], []
    parts = {}
    for name, trace in traces.items():
        try:
            parts[name] = split(trace, options.share, options.seed if options.split == "random" else None)
        except Problem as problem:
            raise problem.at(name) from None
    most, measured = (-(-count // len(parts)) for count in (options.plan_batches, options.held_out_batches))
    cut = (options.batch, torus.rows, options.seed)
    for at in range(len(next(iter(traces.values())).layers)):
        known = joined([drawn(early, at, *cut, most, again=True) for early, _ in parts.values()])
        unknown = {name: drawn(late, at, *cut, measured) for name, (_, late) in parts.items()}
        data_set = [name for name, batches in unknown.items() for _ in range(batches.count)]
        for kept, batches in ((planning, known), (held_out, joined(list(unknown.values())))):
            kept.append(batches.with_shared() if options.shared else batches)
    return planning, held_out, data_set
