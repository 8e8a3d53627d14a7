"""Options for large traces: how many tokens, which layers, how many layers side by side."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from placement.errors import Problem

from ..traces.routing_trace import RoutingTrace
from ..traces.trace_file import load_trace

# Of what routes token by token; its memory grows with the tokens of a layer.
SAMPLE = 1_000_000


def add_tokens(parser: argparse.ArgumentParser, default: int | None = None) -> None:
    """Declare --tokens; default: as many at most, None for all."""
    told = "all" if default is None else f"at most {default}"
    parser.add_argument(
        "--tokens",
        type=int,
        default=default,
        metavar="N",
        help=f"draw whole requests with this many tokens (default: {told})",
    )


def add_jobs(parser: argparse.ArgumentParser, default: int = 1) -> None:
    """Declare --jobs; default: more than one where a layer takes long and little memory."""
    told = f"number of layers computed at the same time; changes no figure (default: {default})"
    parser.add_argument("--jobs", type=int, default=default, metavar="N", help=told)


def add_order(parser: argparse.ArgumentParser) -> None:
    """Declare --in-order."""
    parser.add_argument(
        "--in-order", action="store_true", help="make batches of tokens in the order of the trace (default: shuffled)"
    )


def batch_seed(options: argparse.Namespace) -> int | None:
    """The seed that draws tokens into batches, None for their order in the trace."""
    return None if options.in_order else options.seed


def open_trace(options: argparse.Namespace, path: Path | None = None) -> RoutingTrace:
    """The trace of the options, or another, with as many of its tokens as they ask for; says so. Raises Problem."""
    for name in ("tokens", "jobs"):
        if (value := getattr(options, name, None)) is not None and value < 1:
            raise Problem(f"--{name} is too small", str(value), "1 or more", f"correct --{name}")
    trace = load_trace(path or options.trace)
    if options.tokens is None or options.tokens >= trace.tokens:
        return trace
    seed = getattr(options, "seed", 0)
    drawn = f"{options.tokens} of {trace.tokens} tokens"
    print(f"{options.command}: {drawn}, whole requests drawn with seed {seed} (--tokens)", flush=True)
    return trace.sample(options.tokens, seed)


def layer_numbers(text: str) -> tuple[int, ...]:
    """Numbers of layers from `3-60` or `0,4,5`, as an argument's type; raises ArgumentTypeError."""
    numbers: list[int] = []
    for part in text.split(","):
        if not (match := re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip())):
            raise argparse.ArgumentTypeError(f"{part!r} is not a layer; expected numbers as 3-60 or 0,4,5")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise argparse.ArgumentTypeError(f"{part!r} ends before it begins")
        numbers += range(first, last + 1)
    if len(set(numbers)) < len(numbers):
        raise argparse.ArgumentTypeError(f"{text!r} names a layer twice")
    return tuple(numbers)
