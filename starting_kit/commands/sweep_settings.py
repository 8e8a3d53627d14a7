"""The settings of `sweep`: the cases of each trace, and the constants of the cost."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields

from placement.errors import OrganizerError
from placement.grid import Case, Cost
from placement.grid_values import checked_numbers
from sweeps.cases import Axes, cases_of
from sweeps.trace_file import TraceFile

from .argument_types import integer_from
from .fitting import fitting_eps, fitting_window
from .options import UsageError
from .places import GRID
from .selection import read_grid
from .sweep_policies import parameter

COST = tuple(field.name for field in fields(Cost))
Show = Callable[[str], None]


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Declare the options with settings to vary."""
    parser.add_argument(
        "--ep", nargs="+", type=integer_from(1), metavar="N", help="numbers of devices (default: all that fit)"
    )
    parser.add_argument(
        "--redundant",
        nargs="+",
        type=integer_from(0),
        metavar="N",
        help="numbers of redundant experts (default: as many as devices)",
    )
    parser.add_argument(
        "--window",
        nargs="+",
        type=integer_from(1),
        metavar="N",
        help="collection windows, which are also the intervals of calls (default: one window that fits)",
    )
    parser.add_argument(
        "--parameter",
        action="append",
        default=[],
        type=parameter,
        metavar="NAME=VALUE,VALUE",
        help="set the constant NAME (in upper case) of policy.py to each value; repeatable: all combinations are "
        "measured",
    )
    told = f"constants of the cost, as grids have them: {', '.join(COST)} (default: the grids', of DeepSeek-R1)"
    parser.add_argument("--cost", nargs="+", type=constant, default=[], metavar="NAME=NUMBER", help=told)


def constant(text: str) -> tuple[str, float]:
    """A constant of the cost and its number."""
    name, _, number = text.partition("=")
    for kind in (int, float):
        with suppress(ValueError):
            return name, kind(number)
    raise argparse.ArgumentTypeError(f"{text!r} is not NAME=NUMBER")


def cost_with(given: Mapping[str, float]) -> Cost:
    """The cost of the grids with other values for some constants. Raises UsageError."""
    try:
        return checked_numbers(Cost, {**vars(read_grid(GRID).cost), **given}, "cost")
    except OrganizerError as error:
        raise UsageError(error.what, error.got, error.expected, "correct --cost") from None


def fitting_cases(
    traces: Sequence[TraceFile],
    ep: Sequence[int] | None,
    redundant: Sequence[int] | None,
    window: Sequence[int] | None,
    show: Show,
) -> list[tuple[TraceFile, tuple[Case, ...]]]:
    """The cases of each trace that has any; what is left out is shown. Raises UsageError where no case fits a trace."""
    fitting, said = [], []
    for trace in traces:
        iterations, _, experts = trace.shape
        axes = Axes(ep or fitting_eps(experts), redundant, window or [fitting_window(iterations)])
        cases, notes = cases_of(trace, axes)
        said += notes
        if cases:
            fitting.append((trace, tuple(cases)))
    if not fitting:
        expected = "ep that divides the experts and the redundant ones together, window + 2 iterations"
        raise UsageError("no case fits", "; ".join(said), expected, "correct --ep, --redundant or --window")
    for line in said:
        show(line)
    return fitting
