"""Options that several commands share, and the error for options that do not fit."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from placement.errors import Problem

from . import places
from .argument_types import integer_from

JOBS = 2
# Apart from the seeds of the sample traces and of compare.
PRACTICE_SEED = 501


class UsageError(Problem):
    """An option or argument that the command cannot work with."""


def usage_of(problem: Problem) -> UsageError:
    """The UsageError of a problem with a file that an option names."""
    return UsageError(problem.what, problem.got, problem.expected, problem.next_step, ", ".join(problem.where))


def add_command(commands: Any, name: str, purpose: str, examples: str) -> argparse.ArgumentParser:
    """Declare a command; examples: lines with the words after kit.py, two blanks, and the effect."""
    rows = [line.split("  ", 1) for line in examples.strip().splitlines()]
    lines = [line for row in rows for line in (f"  python starting_kit/kit.py {row[0]}", f"      {row[1].strip()}")]
    return commands.add_parser(
        name,
        help=purpose,
        description=f"{purpose[0].upper()}{purpose[1:]}.",
        epilog="\n".join(["examples:", *lines]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_policy(parser: argparse.ArgumentParser) -> None:
    """Declare the argument POLICY."""
    parser.add_argument(
        "policy",
        nargs="?",
        type=Path,
        default=places.KIT,
        metavar="POLICY",
        help="a folder with policy.py, the file, or the zip (default: the template)",
    )


def add_grid(parser: argparse.ArgumentParser) -> None:
    """Declare --grid."""
    parser.add_argument(
        "--grid",
        type=places.grid_file,
        default=places.GRID,
        metavar="GRID",
        help="the cases: sample, practice, official, or a grid file (default: sample)",
    )


def add_traces(parser: argparse.ArgumentParser) -> None:
    """Declare --traces."""
    parser.add_argument(
        "--traces",
        type=Path,
        metavar="FOLDER",
        help="folder that holds <model>/<dataset>.npy or .npz (default: the named grid's traces; with a grid file, "
        "the sample traces). Without --grid, a grid is made for these traces by run, replay, profile, export "
        "and compare --seeds 0",
    )


def add_seed(parser: argparse.ArgumentParser) -> None:
    """Declare --seed."""
    parser.add_argument(
        "--seed",
        type=integer_from(0),
        metavar="N",
        help=f"seed of the practice grid's traces, which are kept for each seed (default: {PRACTICE_SEED})",
    )


def add_policy_and_case(parser: argparse.ArgumentParser) -> None:
    """Declare POLICY and the options that name its case."""
    add_policy(parser)
    add_grid(parser)
    add_traces(parser)
    add_seed(parser)
    parser.add_argument(
        "--case",
        metavar="CASE",
        help="the case, by its name or as MODEL/DATASET:EP, with +N for N redundant experts (default: the first)",
    )


def add_cases(parser: argparse.ArgumentParser) -> None:
    """Declare --case for several cases."""
    parser.add_argument(
        "--case",
        action="append",
        dest="cases",
        metavar="CASE",
        help="only this case, by its name or as MODEL/DATASET:EP, with +N for N redundant experts; MODEL/DATASET "
        "names the cases of every ep; repeatable",
    )


def add_jobs(parser: argparse.ArgumentParser) -> None:
    """Declare --jobs."""
    parser.add_argument(
        "--jobs",
        type=int,
        default=JOBS,
        help=f"number of traces replayed at the same time (default: {JOBS}); changes no score",
    )


def show(line: str) -> None:
    """Print a line at once, without buffering."""
    print(line, flush=True)


def check_least(name: str, value: int, least: int) -> None:
    """Raise UsageError for a number below `least`."""
    if value < least:
        raise UsageError(f"{name} is too small", str(value), f"at least {least}", f"correct {name}")
