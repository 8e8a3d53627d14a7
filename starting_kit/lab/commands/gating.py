"""`gating`: what gates on a router's scores do to loads, tokens and latency."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from placement.errors import Problem
from scores.table import cells, markdown

from ..experiments.gate_report import default_groups, possible, printed_gates, report, without_scores
from ..experiments.gating import gated_of, planned_for
from ..experiments.methods import Setting
from ..gating.bias import STEP
from ..gating.catalogue import CAPACITIES, KINDS, methods
from .plans import grid_of
from .scale import SAMPLE, add_tokens, open_trace
from .settings import check_sizes

if TYPE_CHECKING:
    import pandas as pd


def add_gating(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    parser = commands.add_parser("gating", help="compare gates on a router's scores: capacity, bias, groups, BASE")
    parser.add_argument(
        "trace", type=Path, metavar="TRACE", help="a trace with scores, from generate --scores or import"
    )
    # An option that is given again adds to what it has.
    several = {"nargs": "+", "action": "extend"}
    parser.add_argument(
        "--method",
        **several,
        choices=KINDS,
        metavar="GATE",
        help=f"gates to compare, of {', '.join(KINDS)} (default: all)",
    )
    told = "capacities of drop and reroute, with spaces or commas (default: 1,1.25,1.5,2,inf)"
    parser.add_argument("--capacity", **several, type=_factors, metavar="FACTORS", help=told)
    parser.add_argument(
        "--groups", type=int, help="for limited: number of groups of neighbouring experts (default: 8 or fewer)"
    )
    parser.add_argument(
        "--kept", **several, type=int, metavar="M", help="for limited: groups of a token (default: a half, a quarter)"
    )
    parser.add_argument(
        "--best", type=int, default=2, help="for limited: experts of a group whose scores rank the group (default: 2)"
    )
    parser.add_argument("--step", type=float, default=STEP, help=f"change of the bias in a batch (default: {STEP})")
    parser.add_argument("--layer", type=int, metavar="NUMBER", help="number of the layer (default: the first)")
    parser.add_argument(
        "--grid", default="", metavar="ROWSxCOLS", help="grid of devices (default: a device for every two experts)"
    )
    parser.add_argument("--slots", type=int, default=3, help="slots per device (default: 3)")
    parser.add_argument("--shared", action="store_true", help="every token also takes the shared expert")
    parser.add_argument("--batch", type=int, default=256, help="tokens per batch (default: 256)")
    parser.add_argument(
        "--batches", type=int, default=40, metavar="N", help="measure at most this many batches (default: 40)"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--held-out", action="store_true", help="plan from the first half, measure on the second")
    parser.add_argument("--output", type=Path, help="file for the table, ending in .csv")
    add_tokens(parser, SAMPLE)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Measure, print the table, write the CSV."""
    given = {} if options.groups is None else {"groups": 1}
    check_sizes(options, slots=1, batch=1, batches=1 + options.held_out, best=1, seed=0, **given)
    if not options.step >= 0:
        raise Problem("--step is too small", str(options.step), "0 or more", "correct --step")
    trace = open_trace(options)
    trace = trace.select(trace.layers[:1] if options.layer is None else (options.layer,))
    name, k = options.trace.stem, trace.choices.shape[2]
    torus = grid_of(options.grid, trace.experts)
    groups, kept = default_groups(trace.experts, k, options.groups)
    limits, missing = options.kept or kept, []
    factors = sorted({factor for several in options.capacity or [CAPACITIES] for factor in several})
    if "limited" in (options.method or ()) and not limits:
        got, expected = f"{groups} groups of {trace.experts} experts", f"groups of 2 or more, a half with {k} experts"
        raise Problem("limited routing has no groups to keep", got, expected, "give --groups, or --kept")
    found = methods(trace.experts, options.method or KINDS, factors, groups, limits, options.best, options.step)
    if not options.method:
        found, missing = possible(found)
    if trace.scores is None:
        told = without_scores(name, trace)
        if options.method and any(method.scores for method in found):
            raise told
        missing = [str(told)]
    setting = Setting(torus, options.slots, options.shared, seed=options.seed)
    needed = trace.experts + options.shared * torus.rows
    if (slots := options.slots * torus.devices) < needed:
        expected = f"{needed} or more, for {trace.experts} experts"
        raise Problem("the slots do not hold every expert", str(slots), expected, "correct --slots or --grid")
    gated = gated_of(trace, 0, options.batch, torus.rows, options.seed, options.batches)
    known, half = gated, gated.batches.count // 2
    if options.held_out:
        if not half:
            raise Problem(
                "the trace has only one batch", f"{trace.tokens} tokens", "two batches or more", "correct --batch"
            )
        known, gated = gated.select(0, half), gated.select(half, gated.batches.count)
    frame, told = report(name, gated, planned_for(known.batches, setting), setting, found, groups)
    told = missing + told
    sample = "held out: planned from the first half of the batches" if options.held_out else "in sample"
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
    heading = f"Gates, layer {trace.layers[0]} of {name}, {sample}"
    print("\n\n".join(gate_texts(options.output, heading, frame, told)))
    if options.output:
        print(f"\nwritten: {options.output}")
    return 0


def gate_texts(path: Path | None, heading: str, frame: pd.DataFrame | None, told: list[str]) -> list[str]:
    """The parts of a page about gates; path: of a CSV, where one is wanted."""
    if frame is None:
        return [f"## {heading}", *told]
    if path is not None:
        frame.to_csv(path, index=False)
    return [f"## {heading}", markdown(*cells(printed_gates(frame))), "\n".join(f"- {sentence}" for sentence in told)]


def _factors(text: str) -> tuple[float, ...]:
    """Capacity factors from `1,1.25,inf`, as an argument's type; raises ArgumentTypeError."""
    try:
        factors = tuple(float(part) for part in text.split(","))
    except ValueError:
        factors = (0.0,)
    if not all(factor > 0 for factor in factors):
        raise argparse.ArgumentTypeError(f"{text!r} are no capacities; expected numbers above 0, as 1,1.25,inf")
    return factors
