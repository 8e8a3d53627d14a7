"""`oracle`: the optimum of a stated objective on a few experts of a layer, and how far methods lie above it."""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from placement.errors import Problem
from scores.table import cells, markdown

from ..experiments.methods import PLACEMENT_ONLY, REPLICATED, Setting
from ..experiments.oracle_row import ladder
from ..oracle.branch_and_bound import NODES, least_load
from ..oracle.brute_force import least
from ..oracle.cp_sat import SECONDS, least_load_cp
from ..oracle.outcome import Outcome, gap_to
from ..oracle.pieces import solved_row
from ..oracle.subset import DRAWN, HOTTEST, numbered, subset
from ..oracle.topology import demand_of, hops_of, least_hops
from ..planning.even import even_table
from ..serving.cost import latency
from ..serving.gaps import routed_with_gaps
from ..serving.replicas import replicas_of
from ..serving.routers import OF_LISTS
from ..serving.torus import Torus
from ..traces.batches import Batches
from .plans import grid_of
from .scale import SAMPLE, add_tokens, open_trace
from .settings import check_sizes

OBJECTIVES = {
    "par": "the largest device load of the sample by the mean one, where each replica serves an equal part of its "
    "expert's choices",
    "hops": "hops of a choice in the mean, where flows to replicas are free and no device serves more than --load-cap "
    "times the mean device",
    "latency": "the mean latency of the cost model (compat) under one router, of all tables that fill every slot, with "
    "replicas in the order of slots and the choices of other experts left out; methods plan "
    "each choice as a token of its own",
    "rows": "the largest device load in each row of the grid, for the replicas that the row has",
}


def add_oracle(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    parser = commands.add_parser("oracle", help="find optimum, bound and gap on a few experts of a layer")
    parser.add_argument("trace", type=Path, metavar="TRACE")
    told = "; ".join(f"{name}: {text}" for name, text in OBJECTIVES.items())
    parser.add_argument("--objective", choices=OBJECTIVES, default="par", help=f"{told} (default: par)")
    solvers = ("auto", "branch", "cp-sat")
    told = (
        "method for par and rows: branch and bound, or CP-SAT of ortools (default: cp-sat for rows where ortools "
        "is installed)"
    )
    parser.add_argument("--solver", choices=solvers, default="auto", help=told)
    parser.add_argument(
        "--experts", type=int, default=12, help="number of experts of the layer; rows takes all experts (default: 12)"
    )
    parser.add_argument("--choose", choices=[HOTTEST, DRAWN], default=HOTTEST, help="which experts (default: hottest)")
    parser.add_argument(
        "--grid", default="", metavar="ROWSxCOLS", help="grid of devices (default: 2x2; rows: as in plan)"
    )
    parser.add_argument("--slots", type=int, default=0, help="slots per device (default: 4; rows: 3)")
    parser.add_argument("--layer", type=int, help="number of the layer (default: the first)")
    parser.add_argument(
        "--load-cap",
        type=float,
        default=1.1,
        metavar="F",
        help="for hops: no device serves more than F times the mean device (default: 1.1)",
    )
    parser.add_argument(
        "--copies", type=int, default=0, help="for hops: largest number of replicas of an expert (default: any)"
    )
    parser.add_argument(
        "--router", choices=[*OF_LISTS], default="row-blocks", help="for latency: the router (default: row-blocks)"
    )
    told = f"seconds for the solver; CP-SAT counts deterministic seconds (default: {SECONDS:g})"
    parser.add_argument("--seconds", type=float, default=SECONDS, help=told)
    parser.add_argument(
        "--nodes", type=int, default=NODES, help=f"largest number of nodes for branch and bound (default: {NODES})"
    )
    parser.add_argument("--batch", type=int, default=256, help="tokens per batch (default: 256)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="file for the table, ending in .csv")
    add_tokens(parser, SAMPLE)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Solve, print the table and write it."""
    check_sizes(options, experts=1, slots=0, batch=1, nodes=1, seed=0, copies=0, seconds=0)
    trace = open_trace(options)
    layer = trace.layers[0] if options.layer is None else options.layer
    if layer not in trace.layers:
        got, expected = str(layer), f"one of {', '.join(map(str, trace.layers))}"
        raise Problem("--layer is not in the trace", got, expected, "correct --layer")
    whole = options.objective == "rows"
    torus = grid_of(options.grid or ("" if whole else "2x2"), trace.experts)
    slots = options.slots or (3 if whole else 4)
    layer_batches = trace.batches(trace.layers.index(layer), options.batch, torus.rows, options.seed)
    some = options.experts, options.choose, options.seed
    batches = layer_batches if whole else subset(layer_batches, *some)
    if torus.devices * slots < batches.experts:
        got, expected = f"{torus.devices * slots} slots", f"{batches.experts} or more, one for each expert"
        raise Problem("the slots do not hold every expert", got, expected, "correct --slots, --grid or --experts")
    solve = {"par": _par, "hops": _hops, "rows": _rows}
    solve["latency"] = partial(_latency, layer_batches, numbered(layer_batches, *some) if not whole else None)
    frame = solve[options.objective](batches, torus, slots, options)
    some = "all" if whole else f"the {options.experts} {options.choose}"
    print(
        f"## Oracle of layer {layer}: {some} experts, {torus.rows} x {torus.cols} devices of {slots} slots, in sample"
    )
    print(f"\n{markdown(*cells(frame), '.4f')}\n")
    print(f"Objective: {OBJECTIVES[options.objective]}. Another objective has another optimum. Gaps are to the bound.")
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        frame.to_csv(options.output, index=False)
        print(f"written: {options.output}")
    return 0


def _solver(options: argparse.Namespace, default: str = "branch") -> tuple[str, Callable[..., Outcome]]:
    """The name of the solver, and the solver with the budget of the options."""
    if (default if options.solver == "auto" else options.solver) == "cp-sat":
        return "CP-SAT", partial(least_load_cp, seconds=options.seconds, seed=options.seed)
    return "branch and bound", partial(least_load, nodes=options.nodes)


def _par(batches: Batches, torus: Torus, slots: int, options: argparse.Namespace) -> pd.DataFrame:
    return ladder(batches, torus, slots, options.seed, *_solver(options))


def _hops(batches: Batches, torus: Torus, slots: int, options: argparse.Namespace) -> pd.DataFrame:
    """The even split is the start of the program, and a line of its own, unless it has more replicas than allowed."""
    demand = demand_of(batches, torus.rows)
    start = even_table(batches.load, torus, slots, False)
    fits = not options.copies or np.bincount(start[start >= 0]).max() <= options.copies
    begun = time.perf_counter()
    found = least_hops(
        *(demand, torus, slots, options.load_cap, options.copies), start if fits else None, options.seconds
    )
    seconds = time.perf_counter() - begun
    lines = [("oracle: HiGHS", found.objective, seconds)]
    if fits:
        lines.insert(0, ("even split, heaviest first", hops_of(start, demand, torus, options.load_cap), 0.0))
    return _frame("hops", lines, found.bound)


def _latency(
    layer: Batches, choices: np.ndarray, batches: Batches, torus: Torus, slots: int, options: argparse.Namespace
) -> pd.DataFrame:
    """layer: all tokens; choices: theirs in the subset, -1 for others; batches: of these choices, to plan from."""
    router = OF_LISTS[options.router]

    def value(table: np.ndarray) -> float:
        replicas = replicas_of(table, batches.experts)
        routed = routed_with_gaps(router, layer, choices, replicas)
        return float(latency(layer, replicas, routed, torus).total.mean())

    replicated = torus.devices * slots > batches.experts
    setting = Setting(torus, slots, False, seed=options.seed, replicated=replicated)
    lines = []
    for method in REPLICATED[1:] if replicated else PLACEMENT_ONLY[2:]:
        begun = time.perf_counter()
        table = np.sort(method.plan(batches, setting).replicas.table, axis=1)
        lines.append((f"{method.row}: {method.name}", value(table), time.perf_counter() - begun))
    begun = time.perf_counter()
    found = least(batches.experts, torus.devices, slots, value)
    lines.append((f"oracle: all {found.work} tables", found.objective, time.perf_counter() - begun))
    return _frame("us", lines, found.bound)


def _rows(batches: Batches, torus: Torus, slots: int, options: argparse.Namespace) -> pd.DataFrame:
    """Every row of an even split, heaviest first and exchanges, solved alone."""
    load = batches.load.sum(axis=0)
    table = even_table(batches.load, torus, slots, False)
    name, solver = _solver(options, "cp-sat" if importlib.util.find_spec("ortools") else "branch")
    lines = []
    for row in range(torus.rows):
        begun = time.perf_counter()
        solved = solved_row(table, load, torus, row, solver)
        seconds = time.perf_counter() - begun
        values = {"before": solved.before, f"oracle: {name}": solved.after, "bound": solved.bound}
        gaps = {"gap before %": gap_to(solved.before, solved.bound), "gap %": gap_to(solved.after, solved.bound)}
        percent = {key: 100 * gap for key, gap in gaps.items()}
        lines.append({"row": row, "replicas": int((solved.table >= 0).sum())} | values | percent | {"seconds": seconds})
    return pd.DataFrame(lines)


def _frame(unit: str, lines: list[tuple[str, float, float]], bound: float) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"plan": plan, unit: value, "bound": bound, "gap %": 100 * gap_to(value, bound), "seconds": seconds}
            for plan, value, seconds in lines
        ]
    )
