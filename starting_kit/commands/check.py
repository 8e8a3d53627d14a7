"""`check`: say whether a policy is accepted, and how much of the limits it uses."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

from placement.errors import PolicyError, Problem
from placement.evaluation.interruption import temporary_folder
from placement.grid import Case, Grid
from placement.isolation.process import PolicyProcess
from placement.isolation.sandbox import LAYERS
from placement.replay import replay
from placement.submission.folder import find_policy
from placement.trace import Trace

from . import options as shared
from .doubts import Doubts, newer_line
from .machine import check_isolation, imported_modules, machine_line, missing_there, packages_line
from .newer import newer_uses
from .options import UsageError
from .places import short
from .policy_folder import policy_folder, staged, submission_files
from .selection import read_grid

EXAMPLES = """
check  the template, starting_kit/policy.py
check my_policy  my_policy/policy.py
check my_policy --grid official  with windows of the official grid's size
"""
MIB = 2**20


@dataclass
class Trial:
    """What trying a policy on cases of one model told: lines to print, what went wrong, and what isolated it."""

    lines: list[str] = field(default_factory=list)
    problem: Problem | None = None
    layers: list[str] = field(default_factory=list)


def add_check(commands: Any) -> None:
    """Declare the command."""
    parser = shared.add_command(commands, "check", "say in seconds whether a policy is accepted, and why not", EXAMPLES)
    shared.add_policy(parser)
    shared.add_grid(parser)
    parser.set_defaults(run=check_command)


def check_command(options: argparse.Namespace) -> int:
    """Print what was found, the verdict and the next step last; return the exit code."""
    folder = policy_folder(options.policy)
    with temporary_folder():
        try:
            doubts = check(folder, options.grid)
        except UsageError:
            raise
        except Problem as error:
            print(f"not accepted: {error}")
            return 1
    print(doubts.verdict(f"python starting_kit/kit.py run {short(folder)}"))
    return 0


def check(folder: Path, grid_path: Path) -> Doubts:
    """Try a policy twice on made-up hotness, for each model's smallest and largest ep, and print how that went.

    Returns what the platform lacks of that which the policy uses. Raises Problem when it is not accepted.
    """
    grid = read_grid(grid_path)
    check_isolation(grid, grid_path)
    holder, note = find_policy(folder)
    if note:
        print(f"note: {note}")
    files = submission_files(holder)[0]
    imported, newer = imported_modules(files), newer_uses(files)
    with staged(holder) as submission:
        trials = _try(submission, grid)
    for trial in trials:
        print("\n".join(trial.lines))
    if layers := [trial.layers for trial in trials if trial.layers]:
        print(machine_line([layer for layer in LAYERS if all(layer in active for active in layers)]))
    print(packages_line(imported))
    if newer:
        print(newer_line(newer))
    for trial in trials:
        if trial.problem:
            raise trial.problem
    return Doubts(missing_there(imported), newer)


def _try(submission: Path, grid: Grid) -> list[Trial]:
    """Try the extreme sizes of each model: by devices, redundant experts, slots, and what devices leave undivided."""
    by_model: dict[str, list[Case]] = {case.model: [] for case in grid.cases}
    for case in sorted(grid.cases, key=lambda case: case.ep):
        by_model[case.model].append(case)
    sizes = [*map(attrgetter, ("ep", "redundant_experts", "slots")), lambda case: case.experts % case.ep]
    ends = [dict.fromkeys(end(cases, key=size) for size in sizes for end in (min, max)) for cases in by_model.values()]
    with ThreadPoolExecutor(len(ends)) as pool:
        return list(pool.map(lambda cases: _try_cases(submission, cases, grid), ends))


def _try_cases(submission: Path, cases: Iterable[Case], grid: Grid) -> Trial:
    """Try cases of one model, up to the first that fails."""
    trial, trace, limits = Trial(), None, grid.limits
    for case in cases:
        if trace is None:
            # Just long enough for a second call after all layers were redeployed.
            iterations = 2 * case.window + case.layers + case.latency + 2
            shape = (iterations, case.layers, case.experts)
            trace = Trace(np.random.default_rng(0).integers(0, 100, shape, np.int32))
        name = case.name.replace(f"/{case.dataset} ", " ", 1)
        process = PolicyProcess(submission, case, trace, grid, time.monotonic() + limits.grid_seconds)
        try:
            with process:
                form = process.start()
                calls = len(replay(trace, case, process.rebalance).calls)
                memory = process.memory_bytes
        except PolicyError as error:
            trial.lines += [f"{name}: {error.status}", *_quoted(process.log)]
            trial.problem = error.at(name)
            return trial
        finally:
            trial.layers = process.layers
        slowest = max(process.seconds[1:])
        line = f"{name}: {form} form, {calls} calls, start {process.seconds[0]:.2f} of {limits.start_seconds:g} s, "
        line += f"slowest call {slowest:.2f} of {limits.call_seconds:g} s"
        # Not every system tells.
        line += f", memory {memory / MIB:.0f} of {limits.memory_bytes / MIB:.0f} MiB" if memory else ""
        trial.lines += [line, *_quoted(process.log)]
    return trial


def _quoted(log: str) -> list[str]:
    return [f"  | {line}" for line in log.splitlines()]
