"""`check`: say whether a policy is accepted, how much of the limits it uses, and what can differ on the platform."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any

from placement.errors import PolicyError, Problem
from placement.evaluation.interruption import results_of
from placement.evaluation.temporary import temporary_folder
from placement.grid import Case, Grid
from placement.isolation.foreign_forms import three_lines
from placement.isolation.neighbours import Neighbours
from placement.isolation.process import PolicyProcess
from placement.isolation.sandbox import LAYERS
from placement.isolation.template import Template
from placement.replay import replay
from placement.submission.folder import find_policy

from . import options as shared
from .doubts import Doubts, newer_line
from .imports import defined_names
from .machine import check_isolation, imported_modules, machine_line, missing_there, packages_line
from .made_up import Answer, answering, first_difference, made_up_trace
from .newer import newer_uses
from .options import UsageError
from .own_traces import own_world, tell_grid
from .places import GRID, kit_command, short
from .policy_folder import named_policy, packed_files, staged
from .selection import read_grid, select

EXAMPLES = """
check  the template, starting_kit/policy.py
check my_policy  my_policy/policy.py
check submission.zip  the zip that will be uploaded
check my_policy --case DS-R1/generated:64  at the size of one case
check my_policy --grid official  at the sizes and the window of the official grid
check my_policy --traces traces  at the sizes of your own traces
"""
MIB = 2**20
BOTH_FORMS = "note: policy.py defines both the function rebalance and the class Policy; the function is used"
NONE_REDEPLOYED = (
    "warning: the policy redeployed at no call, so no table was checked. Next: if the policy should redeploy, "
    "find the reason with kit.py replay"
)


@dataclass
class Trial:
    """The result of trying a policy on cases of one model.

    lines: to print; redeployed: how many calls redeployed; warnings: where two runs differ; problem: what went wrong;
    layers: what isolated the policy.
    """

    lines: list[str] = field(default_factory=list)
    redeployed: int = 0
    warnings: list[str] = field(default_factory=list)
    problem: Problem | None = None
    layers: list[str] = field(default_factory=list)


def add_check(commands: Any) -> None:
    """Declare the command `check`."""
    parser = shared.add_command(
        commands, "check", "check within seconds whether a policy is accepted, and say why not", EXAMPLES
    )
    shared.add_policy(parser)
    shared.add_grid(parser)
    parser.add_argument(
        "--traces",
        type=Path,
        metavar="FOLDER",
        help="folder of your own traces; the policy is tried at the sizes and the window that `run --traces` uses",
    )
    shared.add_cases(parser)
    parser.set_defaults(run=check_command, grid=None)


def check_command(options: argparse.Namespace) -> int:
    """Print the findings, the verdict and, as the last line, the next step; return the exit code."""
    named_policy(options.policy)
    grid = _grid_file(options.grid, options.traces)
    with temporary_folder():
        try:
            with staged(options.policy) as submission:
                doubts = check(submission, grid, options.cases)
        except UsageError:
            raise
        except Problem as error:
            lines = three_lines(error.next_step)
            if lines:
                # Once, below the sentence, to be copied.
                error.next_step = error.next_step.partition(": ")[0] + error.next_step.rpartition('"')[2]
            print("\n  ".join([f"not accepted: {error}", *lines]))
            return 1
    traces = ("--traces", short(options.traces)) if options.traces else ()
    print(doubts.verdict(kit_command("run", short(named_policy(options.policy)), *traces)))
    return 0


def _grid_file(grid: Path | None, traces: Path | None) -> Path:
    """The file of the named grid, else of the grid made for the traces, else of the sample grid."""
    if traces is None:
        return grid or GRID
    if grid:
        got, expected = f"--grid {short(grid)} and --traces {short(traces)}", "--grid or --traces"
        raise UsageError("--grid and --traces exclude each other", got, expected, "leave one of them out")
    world = own_world(traces)
    tell_grid(world, shared.show)
    return world.grid


def check(submission: Path, grid_path: Path, cases: Sequence[str] | None = None) -> Doubts:
    """Try a policy on made-up hotness in two processes, one after the other, and print the findings.

    submission: a staged folder; cases: names of cases, or none for each model's smallest and largest sizes. Returns
    what the policy uses and the platform lacks. Raises Problem when the policy is not accepted.
    """
    grid = read_grid(grid_path)
    check_isolation(grid, grid_path)
    chosen = select(grid, cases)
    holder, note = find_policy(submission)
    if note:
        print(f"note: {note}")
    if {"rebalance", "Policy"} <= defined_names(holder / "policy.py"):
        print(BOTH_FORMS)
    files = packed_files(holder)[0]
    imported, newer = imported_modules(files), newer_uses(files)
    trials = _try(holder, chosen if cases else _extremes(chosen), grid)
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
    for trial in trials:
        print("".join(f"{warning}\n" for warning in trial.warnings), end="")
    if not any(trial.redeployed for trial in trials):
        print(NONE_REDEPLOYED)
    return Doubts(missing_there(imported), newer)


def _extremes(cases: Iterable[Case]) -> list[Case]:
    """Each model's cases of extreme size: by devices, redundant experts, slots, and experts left over per device."""
    by_model: dict[str, list[Case]] = {case.model: [] for case in cases}
    for case in sorted(cases, key=lambda case: case.ep):
        by_model[case.model].append(case)
    sizes = [*map(attrgetter, ("ep", "redundant_experts", "slots")), lambda case: case.experts % case.ep]
    return list(
        dict.fromkeys(end(group, key=size) for group in by_model.values() for size in sizes for end in (min, max))
    )


def _try(submission: Path, cases: Sequence[Case], grid: Grid) -> list[Trial]:
    by_model = [[case for case in cases if case.model == model] for model in dict.fromkeys(c.model for c in cases)]
    with ThreadPoolExecutor(len(by_model)) as pool:
        return results_of([pool.submit(_try_cases, submission, group, grid) for group in by_model])


def _try_cases(submission: Path, cases: Sequence[Case], grid: Grid) -> Trial:
    """Try the cases of one model; stop at the first case that fails."""
    with Template() as template:
        return _try_forked(submission, cases, grid, template)


def _try_forked(submission: Path, cases: Sequence[Case], grid: Grid, template: Template) -> Trial:
    trial, trace = Trial(), made_up_trace(cases[0])
    neighbours = Neighbours(trace, template)
    for case in cases:
        name = case.name.replace(f"/{case.dataset} ", " ", 1)
        runs: list[list[Answer]] = []
        # The second process must not be another one's continuation: both begin with nothing.
        for place in (name, f"{name}, second run"):
            process = PolicyProcess(submission, case, neighbours, grid, time.monotonic() + grid.limits.grid_seconds)
            try:
                with process:
                    form, answers = process.start(), []
                    replay(trace, case, answering(process.rebalance, answers))
                    memory = process.memory_bytes
            except PolicyError as error:
                trial.lines += [f"{place}: {error.status}", *_quoted(process.log)]
                trial.problem = error.at(place)
                return trial
            finally:
                trial.layers = process.layers
            runs.append(answers)
            if len(runs) == 1:
                line = _line(name, form, answers, process.seconds, memory, grid)
                trial.lines += [line, *_quoted(process.log)]
        trial.redeployed += sum(answer.redeployment is not None for answer in runs[0])
        if difference := first_difference(*runs):
            trial.warnings.append(f"warning: {difference.at(name)}")
    return trial


def _line(name: str, form: str, answers: Sequence[Answer], seconds: list[float], memory: int, grid: Grid) -> str:
    redeployed, limits = sum(answer.redeployment is not None for answer in answers), grid.limits
    line = f"{name}: {form} form, {redeployed} of {len(answers)} calls redeployed, "
    line += f"start {seconds[0]:.2f} of {limits.start_seconds:g} s, "
    line += f"slowest call {max(seconds[1:]):.2f} of {limits.call_seconds:g} s"
    # Not every system tells.
    return line + (f", memory {memory / MIB:.0f} of {limits.memory_bytes / MIB:.0f} MiB" if memory else "")


def _quoted(log: str) -> list[str]:
    return [f"  | {line}" for line in log.splitlines()]
