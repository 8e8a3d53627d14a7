"""`plan`, `search` and `simulate`."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from placement.errors import Problem
from scores.table import cells, markdown

from ..experiments.router_table import BY_TOKENS, COMPARED, router_rows
from ..experiments.run_record import digest
from ..planning.choice import chosen_table, robust_table, table_for
from ..planning.plan_file import PlanFile, load_plan, save_plan
from ..planning.summary import figures, sentences
from ..search.check import checked
from ..search.objectives import FIGURES
from ..search.two_stage import two_stage
from ..serving.cost import PRESETS, latency
from ..serving.replicas import Replicas, order_of, replicas_of
from ..serving.routers import NAMES, of_lists, routers
from ..serving.torus import Torus
from ..traces.batches import Batches
from ..traces.loads import LayerLoads, loads_in, loads_of
from ..traces.routing_trace import RoutingTrace
from ..traces.side_by_side import side_by_side
from ..traces.sources import TOP_K
from ..traces.trace_file import is_trace_file
from .plan_options import add_choice, add_search, choice_of, search_words, speed
from .router_options import add_hints, hints_of
from .scale import SAMPLE, add_jobs, add_order, add_tokens, batch_seed, open_trace

COLUMNS = (
    *("layer", "router", "mean", "p50", "p95", "p99", "dispatch", "compute", "combine", "par", "max_device_tokens"),
    *("rows_per_token", "cross_row_share", "mean_hop"),
)
ALL = "all"


def grid_of(text: str, experts: int) -> Torus:
    """A grid from ROWSxCOLS, or 8 columns and a device for every two experts. Raises Problem."""
    if not text:
        cols = min(8, max(1, experts // 2))
        return Torus(max(1, experts // 2 // cols), cols)
    rows, _, cols = text.partition("x")
    if not (rows.isdecimal() and cols.isdecimal()):
        raise Problem("--grid has the wrong form", repr(text), "ROWSxCOLS, for example 16x8", "correct --grid")
    return Torus(int(rows), int(cols))


def add_plans(commands: argparse._SubParsersAction) -> None:
    """Declare the three commands."""
    parser = commands.add_parser("plan", help="plan every layer of a trace")
    parser.add_argument("trace", type=Path, metavar="TRACE", help="a trace, or frequencies: .npy, .npz, .json, .csv")
    parser.add_argument(
        "--grid", default="", metavar="ROWSxCOLS", help="grid of devices (default: a device for every two experts)"
    )
    parser.add_argument("--slots", type=int, default=3, help="slots per device (default: 3)")
    parser.add_argument("--shared", action="store_true", help="plan the shared expert too, once per row")
    add_choice(parser)
    parser.add_argument(
        "--router", choices=NAMES, default="row-blocks", help="router that is kept in the plan (default: row-blocks)"
    )
    parser.add_argument("--output", type=Path, required=True, help="file for the plan, ending in .npz")
    _add_batches(parser)
    add_tokens(parser)
    add_jobs(parser)
    parser.set_defaults(run=plan)
    parser = commands.add_parser("search", help="improve a plan by swaps of slots")
    _add_both(parser, NAMES)
    parser.add_argument("--preset", choices=sorted(PRESETS), default="compat")
    add_search(parser)
    parser.add_argument("--output", type=Path, required=True, help="file for the better plan, ending in .npz")
    parser.set_defaults(run=search)
    parser = commands.add_parser("simulate", help="measure a plan on a trace")
    _add_both(parser, (*NAMES, ALL))
    parser.add_argument("--preset", choices=sorted(PRESETS), default="compat")
    add_hints(parser, ["same-row-first"], ["least-loaded"])
    parser.add_argument("--output", type=Path, help="file for the table with all columns, ending in .csv")
    parser.set_defaults(run=simulate)


def _add_batches(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--batch", type=int, default=256, help="tokens per batch (default: 256)")
    parser.add_argument("--seed", type=int, default=0, help="seed that shuffles requests into batches (default: 0)")
    add_order(parser)


def _add_both(parser: argparse.ArgumentParser, names: Sequence[str]) -> None:
    parser.add_argument("trace", type=Path, metavar="TRACE")
    parser.add_argument("plan", type=Path, metavar="PLAN")
    parser.add_argument("--router", choices=names, help="router for all layers (default: the plan's)")
    _add_batches(parser)
    add_tokens(parser, SAMPLE)
    add_jobs(parser)


def plan(options: argparse.Namespace) -> int:
    """Plan and write."""
    choice = choice_of(options)
    # Frequencies are enough, but for what tokens choose together and for latencies.
    traces = _traces(options) if options.robust or choice.method == "affinity" else {}
    first = next(iter(traces), "")
    loads = loads_of(traces[first], options.batch, batch_seed(options)) if traces else _loads(options)
    torus = grid_of(options.grid, loads.experts)
    router = routers(torus)[options.router]

    def planned(layer: int) -> tuple[np.ndarray, np.ndarray, dict[str, float], float]:
        load, cut = loads.of(layer), (options.batch, torus.rows, batch_seed(options))
        several = {name: trace.batches(layer, *cut) for name, trace in traces.items()}
        begun = time.perf_counter()
        if len(several) > 1:
            table, _ = robust_table(several, choice, torus, router)
        elif several:
            table = chosen_table(several[first], choice, torus)
        else:
            table = table_for(load, choice, torus, loads.top_k or TOP_K)
        taken, mean = time.perf_counter() - begun, load.mean(axis=0)
        if options.shared:
            load = np.hstack([load, load.sum(axis=1, keepdims=True) / (loads.top_k or TOP_K)])
        return table, mean, figures(table, load, torus, loads.experts, options.shared == "ordinary"), taken

    tables, means, found, seconds = zip(*side_by_side(planned, len(loads.layers), options.jobs), strict=True)
    stacked = np.stack(tables)
    order = np.broadcast_to(np.arange(stacked[0].size).reshape(stacked[0].shape), stacked.shape)
    sources = tuple(digest(path) for path in dict.fromkeys((options.trace, *options.robust)))
    kept = (options.router,) * len(tables), sources, np.stack(means)
    made = PlanFile(stacked, order, loads.layers, loads.experts, bool(options.shared), torus.rows, torus.cols, *kept)
    save_plan(options.output, made)
    print(f"plan: {len(tables)} layers x {torus.devices} devices x {options.slots} slots, written to {options.output}")
    print(f"planned in {1000 * sum(seconds) / len(tables):.1f} ms a layer, {sum(seconds):.2f} s in all")
    for told in sentences(found, loads.experts, torus):
        print(told)
    return 0


def _traces(options: argparse.Namespace) -> dict[str, RoutingTrace]:
    """The trace and those of --robust, of one model, by path. Raises Problem."""
    traces = {str(path): open_trace(options, path) for path in (options.trace, *options.robust)}
    trace = traces[str(options.trace)]
    for path, other in traces.items():
        if (other.experts, other.layers) != (trace.experts, trace.layers):
            got, expected = (f"{one.experts} experts and layers {one.layers}" for one in (other, trace))
            what, next_step = "the trace is of another model", "name traces of one model after --robust"
            raise Problem(what, got, f"{expected}, as {options.trace} has", next_step, path)
    return traces


def _loads(options: argparse.Namespace) -> LayerLoads:
    """The loads of a trace, or of frequencies in a file of another form."""
    if options.trace.is_dir() or not options.trace.exists() or is_trace_file(options.trace):
        return loads_of(open_trace(options), options.batch, batch_seed(options))
    return loads_in(options.trace)


def _read_both(options: argparse.Namespace) -> tuple[PlanFile, Torus, Callable[[int], Batches]]:
    """The plan, its grid, and the batches of a layer by its position, read when they are asked for."""
    made, trace = load_plan(options.plan), open_trace(options)
    if (trace.experts, trace.layers) != (made.experts, made.layers):
        got, expected = (f"{one.experts} experts and layers {one.layers}" for one in (made, trace))
        what, next_step = "the plan is for another trace", "name the trace that the plan was made from"
        raise Problem(what, got, f"{expected}, as {options.trace} has", next_step, str(options.plan))
    if options.router not in (None, ALL):
        made = replace(made, routers=(options.router,) * len(made.layers))
    torus = Torus(made.rows, made.cols)

    def batches_of(at: int) -> Batches:
        batches = trace.batches(at, options.batch, torus.rows, batch_seed(options))
        return batches.with_shared() if made.shared else batches

    return made, torus, batches_of


def search(options: argparse.Namespace) -> int:
    """Improve every layer and write."""
    made, torus, batches_of = _read_both(options)
    preset, words = PRESETS[options.preset], search_words(options)

    def searched(at: int) -> tuple[Replicas, float, float, float, list[str]]:
        batches = batches_of(at)
        replicas = replicas_of(made.table[at], batches.experts, made.order[at])
        router = of_lists(made.routers[at])
        told = checked(batches, replicas, router, torus, preset, options.check, options.seed) if options.check else []
        begun = time.perf_counter()
        try:
            better = two_stage(batches, replicas, router, torus, preset, **words)
        except Problem as problem:
            raise problem.at(f"layer {made.layers[at]}").at(str(options.plan)) from None
        taken = time.perf_counter() - begun
        before, after = (
            FIGURES[options.objective](latency(batches, one, router(batches, one), torus, preset).total)
            for one in (replicas, better)
        )
        return better, before, after, taken, told

    better, before, after, seconds, told = zip(*side_by_side(searched, len(made.layers), options.jobs), strict=True)
    tables, orders = (
        np.stack([replicas.table for replicas in better]),
        np.stack([order_of(replicas) for replicas in better]),
    )
    sources = tuple(dict.fromkeys((*made.sources, digest(options.trace))))
    save_plan(options.output, replace(made, table=tables, order=orders, sources=sources))
    for layer, sentences_of_layer in zip(made.layers, told, strict=True):
        for sentence in sentences_of_layer:
            print(f"layer {layer}: {sentence}")
    print(f"search: {int((made.table != tables).sum())} changed slots, written to {options.output}")
    counts = [[np.bincount(each[each >= 0]) for each in several] for several in (made.table, tables)]
    other = sum(int((one != two).sum()) for one, two in zip(*counts, strict=True))
    print(f"experts with another number of replicas: {other}; {speed(options, sum(seconds), len(tables))}")
    print(f"{options.objective} in sample, mean over layers: from {np.mean(before):.2f} to {np.mean(after):.2f} us")
    return 0


def simulate(options: argparse.Namespace) -> int:
    """Measure every layer and print a table."""
    import pandas as pd

    made, torus, batches_of = _read_both(options)
    every = options.router == ALL
    hints = hints_of(options, NAMES if every else made.routers)
    preset, named = PRESETS[options.preset], routers(torus, *hints)

    def measured(at: int) -> list[dict[str, object]]:
        batches, router = batches_of(at), made.routers[at]
        replicas = replicas_of(made.table[at], batches.experts, made.order[at])
        rows = router_rows(batches, replicas, named | BY_TOKENS if every else {router: named[router]}, torus, preset)
        return [{"layer": made.layers[at]} | row for row in rows]

    rows = side_by_side(measured, len(made.layers), options.jobs)
    frame = pd.DataFrame([row for of_layer in rows for row in of_layer])
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        frame.to_csv(options.output, index=False)
    if digest(options.trace) in made.sources:
        print("In sample: the plan was made from this trace, or from a part of it.\n")
    else:
        print(
            "The plan was made from other traces. The figures are held out, unless those traces hold requests of "
            "this trace.\n"
        )
    print(markdown(*cells(frame[list(COMPARED if every else COLUMNS)])))
    taken = batches_of(0)
    routed = f"{taken.choices.shape[1] - made.shared} of {made.experts} experts"
    print(f"\n({taken.count} batches; a token takes {routed}{' and the shared one' if made.shared else ''})")
    if every:
        print("\n(tokens_ok, blocks_ok: batches whose largest device load is at most that of round robin)")
    return 0
