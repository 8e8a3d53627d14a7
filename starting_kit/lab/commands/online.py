"""`online`: a plan that is replaced every N batches, in the order of time, against the one that stays."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

from placement.errors import Problem
from scores.table import cells, markdown

from ..experiments.replanning import Online, findings, replanning
from ..online.controls import NAMES
from ..online.transfer import BANDWIDTH
from ..serving.cost import PRESETS
from .plans import grid_of
from .router_options import add_hints, hints_of
from .scale import SAMPLE, add_tokens, open_trace
from .settings import check_sizes

EVERY = "1,2,5,10,20,inf"
LATENCY = ("every", "mean", "p50", "p95", "p99", "charged_mean", "charged_p50", "charged_p95", "charged_p99")
TAKEN = (
    *("every", "replans_per_1000", "plan_seconds", "plan_ms", "slots", "largest_slots", "gigabytes", "largest_charge"),
    *("cross_row_share", "route_ms"),
)


def add_online(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    parser = commands.add_parser("online", help="replace the plan every N batches, in the order of time")
    parser.add_argument("trace", type=Path, metavar="TRACE")
    parser.add_argument(
        "--grid", default="", metavar="ROWSxCOLS", help="grid of devices (default: a device for every two experts)"
    )
    parser.add_argument("--slots", type=int, default=3, help="slots per device (default: 3)")
    parser.add_argument("--batch", type=int, default=256, help="tokens per batch (default: 256)")
    parser.add_argument(
        "--layers", type=int, default=1, help="number of first layers, all replanned at the same time (default: 1)"
    )
    parser.add_argument(
        "--share", type=float, default=0.25, help="share of the batches for the first plan (default: 0.25)"
    )
    told = f"batches between replans, with spaces or commas; inf: the static plan, always shown (default: {EVERY})"
    # Given again, it adds to what it has.
    parser.add_argument("--every", nargs="+", action="extend", type=numbers, metavar="N", help=told)
    parser.add_argument(
        "--window",
        type=int,
        default=10,
        help="number of batches whose mean load is planned for (default: 10, the last ones)",
    )
    parser.add_argument(
        "--router", choices=NAMES, default="row-aware", help="method of the planner (default: row-aware)"
    )
    add_hints(parser, ["row-aware", "same-row-first"], ["row-aware", "least-loaded"])
    told = "slots that a replan of a layer may change, or inf (default: as many as devices)"
    parser.add_argument("--budget", type=limit, metavar="SLOTS", help=told)
    parser.add_argument(
        "--bandwidth", type=float, default=BANDWIDTH, help="bandwidth of a link in bytes per second (default: 9e11)"
    )
    parser.add_argument(
        "--serial", action="store_true", help="move all slots over one link, instead of one link for each device"
    )
    parser.add_argument("--charge-planning", action="store_true", help="also charge the measured time of planning")
    parser.add_argument("--preset", choices=sorted(PRESETS), default="compat")
    parser.add_argument("--output", type=Path, help="file for the table with all columns, ending in .csv")
    add_tokens(parser, SAMPLE)
    parser.set_defaults(run=run)


def numbers(text: str) -> set[float]:
    """Batches between replans from `1,5,inf`, as an argument's type."""
    every = {limit(part.strip()) for part in text.split(",")}
    if 0 in every:
        raise argparse.ArgumentTypeError(f"{text!r} has a 0; expected numbers from 1 as 1,5,inf")
    return every


def ordered(several: Sequence[set[float]]) -> tuple[int | None, ...]:
    """All numbers of batches in order, each once; None stands for inf, and is always there, last."""
    every = {math.inf}.union(*several)
    return tuple(None if number == math.inf else int(number) for number in sorted(every))


def limit(text: str) -> float:
    """A whole number or inf, as an argument's type."""
    if text == "inf":
        return math.inf
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number; expected a whole number, or inf")
    return int(text)


def run(options: argparse.Namespace) -> int:
    """Replay, print two tables and what they say, write all columns."""
    check_sizes(options, slots=1, batch=1, layers=1, window=1)
    if not 0 < options.share < 1:
        raise Problem("--share leaves no part", str(options.share), "between 0 and 1", "correct --share")
    threshold, age = hints_of(options, [options.router])
    if not options.bandwidth > 0:
        raise Problem("--bandwidth is too small", f"{options.bandwidth:g}", "above 0", "correct --bandwidth")
    trace = open_trace(options)
    torus = grid_of(options.grid, trace.experts)
    count = trace.tokens // options.batch
    known = max(1, round(options.share * count))
    if known >= count:
        got, expected = f"{count} whole batches, {known} for the first plan", "another one to measure"
        raise Problem("the trace is too short", got, expected, "name a longer trace, or a smaller --batch or --share")
    cut = (options.batch, torus.rows, None, count)
    layers = [trace.batches(at, *cut) for at in range(min(options.layers, len(trace.layers)))]
    budget = torus.devices if options.budget is None else options.budget
    online = Online(
        *(torus, options.slots, options.router, threshold, options.window),
        *(age, None if budget == math.inf else budget, options.bandwidth, options.serial),
        *(options.charge_planning, PRESETS[options.preset]),
    )
    frame = replanning(layers, known, ordered(options.every or [numbers(EVERY)]), online)
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        frame.to_csv(options.output, index=False)
    measured = count - known
    links = "over one link" if options.serial else "over a link of each device"
    over = f"{len(layers)} of {len(trace.layers)} layers"
    print(f"## Latency in us of {measured} batches of {options.batch} tokens, {over}, replanned every N batches\n")
    print(markdown(*cells(frame[list(LATENCY)]), ".1f"))
    waits = "slots that move" + (" and for planning" if options.charge_planning else "")
    print(f"\n(charged_...: with what the batch after a replan waits for {waits}; slots go {links})")
    print("\n## What replanning takes\n")
    print(markdown(*cells(frame[list(TAKEN)])))
    print("\n(largest_charge: the longest wait of a batch, us; plan_ms, route_ms: of a processor, per layer)")
    for sentence in findings(frame, measured):
        print(f"\n{sentence}")
    return 0
