"""`profile`: the seconds of one call of a policy, by function and by line of the policy's files."""

from __future__ import annotations

import argparse
import cProfile
import linecache
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from placement import isolation

from . import options as shared
from .line_clock import LineClock, Place
from .moment import Moment
from .replay_calls import add_call, at_call, named_case, policy_at

EXAMPLES = """
profile my_policy --case DS-R1/generated:64 --call 2  the seconds of the second call
"""
SHOWN = 15
# Six times the official limit of a call.
ENDLESS_SECONDS = 60.0
WIDEST = 72
SIMULATOR = Path(isolation.__file__).parent


def add_profile(commands: Any) -> None:
    """Declare the command `profile`."""
    parser = shared.add_command(commands, "profile", "show where the seconds of one call of a policy go", EXAMPLES)
    add_call(parser)
    parser.set_defaults(run=profile_command, grid=None)


def profile_command(options: argparse.Namespace) -> int:
    """Run the case up to the call, print where the call's seconds went, and return the exit code."""
    return at_call(named_case(options), options, _show)


def _show(folder: Path, seen: list[Moment], place: str) -> None:
    # Each way to look changes what it looks at: the policy begins afresh for each, and the first has none.
    policy, arguments = policy_at(folder, seen), seen[-1].arguments()
    began = time.perf_counter()
    with ended_after(ENDLESS_SECONDS):
        policy.call(*arguments)
    print(f"alone: {time.perf_counter() - began:.3f} s, in this process, whose BLAS may take more than one thread")

    policy, arguments = policy_at(folder, seen), seen[-1].arguments()
    functions = cProfile.Profile()
    functions.runcall(policy.call, *arguments)
    print("\n".join(function_lines(functions, folder)))

    policy, arguments = policy_at(folder, seen), seen[-1].arguments()
    clock = LineClock(folder.resolve())
    clock.run(policy.call, *arguments)
    print("\n".join(line_lines(clock.seconds, clock.counts, folder)))


@contextmanager
def ended_after(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in a call that runs longer, so that the traceback names the line (on systems with alarms)."""

    def end(*signal_and_frame: object) -> None:
        raise TimeoutError(f"no answer within {seconds:g} s; look for a loop that does not end")

    if not hasattr(signal, "setitimer"):
        yield
        return
    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def function_lines(profile: cProfile.Profile, folder: Path) -> list[str]:
    """cProfile's table: the functions with most seconds first, alone and with what they called."""
    profile.create_stats()
    # By file, line and name: calls, seconds in it alone, seconds with what it called.
    rows = [(*key, *value[1:4]) for key, value in profile.stats.items() if Path(key[0]).parent != SIMULATOR]
    rows = [row for row in rows if "_lsprof.Profiler" not in row[2]]
    rows.sort(key=lambda row: (-row[5], row[:3]))
    lines = ["", "functions, with what they called (cProfile):", "  seconds    alone     calls  function"]
    for file, line, name, calls, alone, total in rows[:SHOWN]:
        where = name if file == "~" else f"{name} ({_short(file, folder)}:{line})"
        lines.append(f"  {total:7.3f}  {alone:7.3f}  {calls:8d}  {where}")
    return lines


def line_lines(seconds: dict[Place, float], counts: dict[Place, int], folder: Path) -> list[str]:
    """The lines of the policy's files with most seconds, and their share of all seconds of these files."""
    total = sum(seconds.values())
    lines = ["", f"lines of the policy's files, with what they called elsewhere ({total:.3f} s, timed line by line):"]
    lines.append("  seconds  share     times  line")
    for (file, number), spent in sorted(seconds.items(), key=lambda item: (-item[1], item[0]))[:SHOWN]:
        source = linecache.getline(file, number).strip()[:WIDEST]
        share = spent / total if total else 0.0
        lines.append(
            f"  {spent:7.3f}  {share:5.1%}  {counts[file, number]:8d}  {_short(file, folder)}:{number}  {source}"
        )
    return lines


def _short(file: str, folder: Path) -> str:
    """A file of the policy by its path below the folder; any other file by the last two parts of its path."""
    path = Path(file)
    folder = folder.resolve()
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else "/".join(path.parts[-2:])
