"""What routers know and when they spill: `simulate` and `online`."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence

from placement.errors import Problem

from .settings import check_sizes


def add_hints(parser: argparse.ArgumentParser, of_threshold: Sequence[str], of_age: Sequence[str]) -> None:
    """Declare --threshold and --age, each with the routers that go by it."""
    told = (
        "how much of its share a replica takes from its own row; 0: rows do not matter, inf: never spill (default: 1)"
    )
    parser.add_argument("--threshold", type=float, metavar="F", help=f"for {' and '.join(of_threshold)}: {told}")
    told = "age of the known loads in batches (default: 0, this batch's)"
    parser.add_argument("--age", type=int, metavar="N", help=f"for {' and '.join(of_age)}: {told}")
    parser.set_defaults(hinted={"threshold": of_threshold, "age": of_age})


def hints_of(options: argparse.Namespace, used: Iterable[str]) -> tuple[float, int]:
    """Threshold and age, from the options; used: names of the routers.

    Raises Problem for numbers below 0, and for an option that no used router goes by.
    """
    given = {name: value for name in options.hinted if (value := getattr(options, name)) is not None}
    if "age" in given:
        check_sizes(options, age=0)
    threshold = given.get("threshold", 1.0)
    if not threshold >= 0:
        raise Problem("--threshold is too small", f"{threshold:g}", "0 or more, or inf", "correct --threshold")
    routers = list(dict.fromkeys(used))
    for name in given:
        known = options.hinted[name]
        if not set(known) & set(routers):
            next_step = f"leave --{name} out, or give --router"
            raise Problem(f"--{name} changes nothing", f"router {', '.join(routers)}", " or ".join(known), next_step)
    return threshold, given.get("age", 0)
