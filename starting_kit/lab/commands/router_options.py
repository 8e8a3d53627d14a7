"""What routers know and when they spill: `simulate` and `online`."""

from __future__ import annotations

import argparse

from placement.errors import Problem

from .settings import check_sizes


def add_hints(parser: argparse.ArgumentParser, of_threshold: str, of_age: str) -> None:
    """Declare --threshold and --age, each with the routers that go by it."""
    told = "of its share, what a replica takes of its own row; 0: rows do not matter, inf: never spill (default: 1)"
    parser.add_argument("--threshold", type=float, default=1.0, metavar="F", help=f"of {of_threshold}: {told}")
    told = "how many batches old the known loads are (default: 0, this batch's)"
    parser.add_argument("--age", type=int, default=0, metavar="N", help=f"of {of_age}: {told}")


def check_hints(options: argparse.Namespace) -> None:
    """Raises Problem for numbers below 0."""
    check_sizes(options, age=0)
    if not options.threshold >= 0:
        raise Problem("--threshold is too small", f"{options.threshold:g}", "0 or more, or inf", "correct --threshold")
