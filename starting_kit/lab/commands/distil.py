"""`distil`: a few weights of a greedy score, fitted to solved small cases, and what they are worth on unseen ones."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from placement.errors import Problem
from scores.table import cells, markdown

from ..experiments.distilled import on_layer
from ..oracle.cases import solved
from ..oracle.distillation import DRAWS, fitted, gaps
from ..oracle.greedy import Weights
from .plans import grid_of
from .scale import SAMPLE, add_tokens, open_trace
from .settings import check_sizes


def add_distil(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    parser = commands.add_parser("distil", help="fit a greedy score to small cases that an oracle has solved")
    parser.add_argument(
        "traces", nargs="*", type=Path, metavar="TRACE", help="traces to try the weights on, whole layers"
    )
    parser.add_argument("--cases", type=int, default=120, help="number of cases to fit to (default: 120)")
    parser.add_argument("--unseen", type=int, default=60, help="number of cases to measure on (default: 60)")
    parser.add_argument("--draws", type=int, default=DRAWS, help=f"random draws of the fit (default: {DRAWS})")
    parser.add_argument(
        "--grid", default="", metavar="ROWSxCOLS", help="grid of devices for the traces (default: as in plan)"
    )
    parser.add_argument("--slots", type=int, default=3, help="slots per device, for the traces (default: 3)")
    parser.add_argument("--batch", type=int, default=256, help="tokens per batch (default: 256)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("../output/lab/distilled"), help="a folder")
    add_tokens(parser, SAMPLE)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Solve, fit, measure, print and write."""
    check_sizes(options, cases=1, unseen=1, draws=0, slots=1, batch=1, seed=0)
    # Seeds of the two parts never meet.
    known = [solved(2 * (options.seed * 10_000 + number)) for number in range(options.cases)]
    unknown = [solved(2 * (options.seed * 10_000 + number) + 1) for number in range(options.unseen)]
    weights, lines = fitted(known, options.seed, options.draws), []
    for part, cases in (("fitted to", known), ("unseen", unknown)):
        for name, used in (("greedy by load", Weights()), ("greedy, distilled", weights)):
            found, solving = gaps(cases, used), sum(case.seconds for case in cases)
            line = {"cases": part, "number": len(cases), "plan": name}
            line |= {"mean gap %": 100 * found.gap.mean(), "largest gap %": 100 * found.gap.max()}
            line |= {
                "optimal %": 100 * (found.gap < 1e-9).mean(),
                "% of solving time": 100 * found.seconds / solving,
            }
            lines.append(line)
    table = pd.DataFrame(lines)
    plain, distilled = table["mean gap %"].iloc[2:]
    told = (
        "The distilled weights shrink the mean gap on unseen cases"
        if distilled < plain
        else ("The distilled weights do not shrink the mean gap on unseen cases")
    )
    parts = ["## Gaps to the least mean latency, found by brute force", markdown(*cells(table), ".3f")]
    parts.append(f"{told}: {plain:.2f} % by load, {distilled:.2f} % distilled.")
    words = ", ".join(f"{name} {value:.4g}" for name, value in asdict(weights).items())
    parts.append(f"Weights, beside 1 for load: {words}.")
    for path in options.traces:
        parts += _on_trace(options, path, weights)
    text = "\n\n".join(parts)
    options.output.mkdir(parents=True, exist_ok=True)
    table.to_csv(options.output / "gaps.csv", index=False)
    (options.output / "weights.json").write_text(json.dumps(asdict(weights), indent=1) + "\n", encoding="utf-8")
    (options.output / "gaps.md").write_text(text + "\n", encoding="utf-8")
    print(f"{text}\n\nwritten: {options.output} (gaps.csv, gaps.md, weights.json)")
    return 0


def _on_trace(options: argparse.Namespace, path: Path, weights: Weights) -> list[str]:
    """A table, the mean of the trace's layers."""
    trace = open_trace(options, path)
    torus = grid_of(options.grid, trace.experts)
    if torus.devices * options.slots < trace.experts or trace.tokens < 2 * options.batch:
        got = f"{torus.devices * options.slots} slots, {trace.tokens} tokens"
        expected = f"{trace.experts} slots and two batches of {options.batch} or more"
        raise Problem("the trace does not fit", got, expected, "correct --grid, --slots or --batch", str(path))
    frames = [
        on_layer(trace.batches(at, options.batch, torus.rows, options.seed), torus, options.slots, weights)
        for at in range(len(trace.layers))
    ]
    mean = pd.concat(frames).groupby("plan", sort=False).mean().reset_index()
    title = f"## {path.stem}, mean of {len(frames)} layers, planned from the first half, measured on the second"
    return [title, markdown(*cells(mean), ".4f")]
