"""What `plan` and `search` take beside files: methods of planning, and how a table is searched."""

from __future__ import annotations

import argparse
from pathlib import Path

from placement.errors import Problem

from ..planning.choice import METHODS, Choice
from ..search.objectives import OBJECTIVES
from ..search.steps import steps_of


def add_choice(parser: argparse.ArgumentParser) -> None:
    """Declare how `plan` plans a layer."""
    parser.add_argument("--method", choices=METHODS, default="even", help="how the slots are filled (default: even)")
    parser.add_argument("--replicate", choices=["load", "blocks", "single"], default="load")
    parser.add_argument("--pack", choices=["heaviest", "pairs"], default="heaviest", help="for even")
    parser.add_argument(
        "--spread", action="store_true", help="for even: put an expert's replicas on rows that have none"
    )
    parser.add_argument(
        "--shared-ordinary",
        action="store_const",
        const="ordinary",
        dest="shared",
        help="for even: plan the shared expert with as many replicas as its load deserves",
    )
    parser.add_argument(
        "--no-exchanges", action="store_true", help="keep the table as packed, to compare with published tables"
    )
    parser.add_argument(
        "--groups", type=int, default=1, help="for hierarchical: number of groups of neighbouring experts"
    )
    parser.add_argument(
        "--nodes", type=int, default=1, help="for hierarchical: number of nodes of neighbouring devices"
    )
    parser.add_argument(
        "--hedge", default="mean", metavar="HOW", help="load to plan for: mean, p95 or mean+ALPHAstd (default: mean)"
    )
    told = "other data sets on which the plan should be good, too"
    parser.add_argument("--robust", type=Path, nargs="+", action="extend", default=[], metavar="TRACE", help=told)


def choice_of(options: argparse.Namespace) -> Choice:
    """How to plan, from the options. Raises Problem."""
    hedge, alpha = options.hedge, 0.0
    if hedge.startswith("mean+") and hedge.endswith("std"):
        hedge, text = "mean_std", hedge[len("mean+") : -len("std")]
        try:
            alpha = float(text or 1)
        except ValueError:
            alpha = -1.0
    if hedge not in ("mean", "p95", "mean_std") or not 0 <= alpha < float("inf"):
        expected = "mean, p95 or mean+ALPHAstd with a number from 0 up, for example mean+0.5std"
        raise Problem("--hedge has the wrong form", repr(options.hedge), expected, "correct --hedge")
    names = ("method", "slots", "shared", "replicate", "pack", "spread", "groups", "nodes")
    words = {name: getattr(options, name) for name in names}
    return Choice(**words, hedge=hedge, alpha=alpha, exchanges=not options.no_exchanges)


def add_search(parser: argparse.ArgumentParser) -> None:
    """Declare how `search` searches."""
    parser.add_argument("--swaps", type=int, default=20000, help="number of swaps tried per layer (default: 20000)")
    parser.add_argument(
        "--steps",
        metavar="STEPS",
        help="another search: local:TRIES, anneal:TRIES:HOT:COLD (us), tabu:ROUNDS:WIDTH:REST, lns:ROUNDS:SLOTS, with "
        "commas",
    )
    parser.add_argument(
        "--restarts", type=int, default=1, help="number of seeds, of which the best result counts (default: 1)"
    )
    parser.add_argument(
        "--check", type=int, metavar="N", help="first compare delta and whole evaluation in N random swaps of a layer"
    )
    parser.add_argument("--moved-slots", type=int, metavar="N", help="at most this many slots get another expert")
    parser.add_argument(
        "--objective", choices=sorted(OBJECTIVES), default="mean", help="statistic over the batches (default: mean)"
    )
    parser.add_argument(
        "--row-cap", type=float, metavar="F", help="no row serves more than F times the mean row, for example 1.1"
    )


def search_words(options: argparse.Namespace) -> dict[str, object]:
    """The arguments of two_stage, from the options. Raises Problem and ValueError."""
    for name, value, least in (
        ("--swaps", options.swaps, 1),
        ("--restarts", options.restarts, 1),
        ("--check", options.check, 1),
        ("--moved-slots", options.moved_slots, 0),
        ("--row-cap", options.row_cap, 1),
    ):
        if value is not None and not value >= least:
            raise Problem(f"{name} is too small", f"{value:g}", f"at least {least}", f"correct {name}")
    return {
        "tries": options.swaps,
        "seed": options.seed,
        "steps": steps_of(options.steps) if options.steps else None,
        "restarts": options.restarts,
        "moved_budget": options.moved_slots,
        "objective": options.objective,
        "row_cap": options.row_cap,
    }


def speed(options: argparse.Namespace, seconds: float, layers: int) -> str:
    """How many swaps were tried in which time: of the surrogate four times --swaps, of --steps as many as they say."""
    if options.steps:
        return f"{seconds:.1f} s"
    tried = 5 * options.swaps * options.restarts * layers
    return f"at least {tried} swaps tried in {seconds:.1f} s, {tried / seconds:.0f} a second"
