"""`kit.py profile`: where the seconds of one call went; and the clock of lines, with a clock that the lines move."""

from __future__ import annotations

import cProfile
import re
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from commands.line_clock import LineClock
from commands.profile import ended_after, function_lines, line_lines
from kit_world import write_kit_world
from submissions import ROOT, run_program, write_policy

KIT = ROOT / "starting_kit" / "kit.py"
TIMED = """
import math
now = [0.0]

def spend(seconds):
    now[0] += seconds

def inner(n):
    spend(n)
    return n

def outer():
    total = 0
    for n in (1, 2):
        total += inner(n)
    spend(10)
    return sum(inner(n) for n in (100, 200))

def fails():
    try:
        spend(3)
        raise ValueError
    except ValueError:
        spend(4)
"""


def timed(folder: Path, source: str, function: str, *arguments: Any) -> dict[int, tuple[float, int]]:
    """Seconds and times of each line of policy.py that has any, by the clock `now` that its lines move."""
    space: dict[str, Any] = {}
    path = folder / "policy.py"
    exec(compile(source, str(path), "exec"), space)
    clock = LineClock(folder, lambda: space["now"][0])
    clock.run(space[function], *arguments)
    assert {file for file, _ in clock.seconds} == {str(path)}
    return {line: (spent, clock.counts[str(path), line]) for (_, line), spent in clock.seconds.items() if spent}


def test_each_line_has_its_seconds_and_no_second_is_counted_twice(tmp_path: Path) -> None:
    found = timed(tmp_path, TIMED, "outer")
    # All time passes where the clock is moved, in line 6; the callers have none of it.
    assert found == {6: (313.0, 5)}


def test_what_a_line_calls_elsewhere_is_that_line_s(tmp_path: Path) -> None:
    elsewhere: dict[str, Any] = {"now": [0.0]}
    exec(compile(TIMED, str(tmp_path / "elsewhere.py"), "exec"), elsewhere)
    space = {"inner": elsewhere["inner"], "fails": elsewhere["fails"]}
    source = "def own():\n    for n in (1, 2):\n        inner(n)\n    fails()\n"
    folder = tmp_path / "policy"
    exec(compile(source, str(folder / "policy.py"), "exec"), space)
    clock = LineClock(folder, lambda: elsewhere["now"][0])
    clock.run(space["own"])
    seconds = {line: spent for (_, line), spent in clock.seconds.items() if spent}
    assert seconds == {3: 3.0, 4: 7.0}
    assert (clock.counts[str(folder / "policy.py"), 3], clock.counts[str(folder / "policy.py"), 2]) == (2, 3)


def test_a_line_goes_on_after_the_function_that_it_called_through_another_file(tmp_path: Path) -> None:
    now = [0.0]
    space: dict[str, Any] = {"now": now, "spend": lambda seconds: now.__setitem__(0, now[0] + seconds)}
    exec(
        compile("def twice(function):\n    function()\n    spend(1)\n    function()\n", "/elsewhere.py", "exec"), space
    )
    source = "def back():\n    spend(10)\n\ndef own():\n    twice(back)\n    spend(100)\n"
    exec(compile(source, str(tmp_path / "policy.py"), "exec"), space)
    clock = LineClock(tmp_path, lambda: now[0])
    clock.run(space["own"])
    assert {line: spent for (_, line), spent in clock.seconds.items() if spent} == {2: 20.0, 5: 1.0, 6: 100.0}


def test_an_exception_ends_the_lines_that_it_leaves_and_the_trace_function_is_put_back(tmp_path: Path) -> None:
    before = sys.gettrace()
    assert timed(tmp_path, TIMED, "fails") == {6: (7.0, 2)}
    clock = LineClock(tmp_path)
    with pytest.raises(ZeroDivisionError):
        clock.run(lambda: 1 / 0)
    assert sys.gettrace() is before


def test_the_lines_are_shown_by_their_seconds_with_their_source(tmp_path: Path) -> None:
    path = str(write_policy(tmp_path, "a = 1\n\n    b = 2\n") / "policy.py")
    shown = line_lines({(path, 1): 1.0, (path, 3): 3.0}, {(path, 1): 7, (path, 3): 1}, tmp_path)
    assert shown == [
        "",
        "lines of the policy's files, with what they called elsewhere (4.000 s, timed line by line):",
        "  seconds  share     times  line",
        "    3.000  75.0%         1  policy.py:3  b = 2",
        "    1.000  25.0%         7  policy.py:1  a = 1",
    ]


def test_the_functions_are_shown_with_their_calls(tmp_path: Path) -> None:
    space: dict[str, Any] = {}
    path = write_policy(
        tmp_path, "def part(n):\n    return sorted(range(n))\n\ndef whole():\n    part(9)\n    part(8)\n"
    )
    exec(compile((path / "policy.py").read_text(), str(path / "policy.py"), "exec"), space)
    profile = cProfile.Profile()
    profile.runcall(space["whole"])
    lines = function_lines(profile, tmp_path)
    number = r"  +\d+\.\d{3}  +\d+\.\d{3}  +"
    assert lines[1:3] == ["functions, with what they called (cProfile):", "  seconds    alone     calls  function"]
    assert any(re.fullmatch(number + r"1  whole \(policy\.py:4\)", line) for line in lines)
    assert any(re.fullmatch(number + r"2  part \(policy\.py:1\)", line) for line in lines)
    assert any(re.fullmatch(number + r"2  <built-in method builtins\.sorted>", line) for line in lines)


def test_profile_says_where_the_seconds_of_a_call_went(tmp_path: Path) -> None:
    source = """
        import numpy as np

        class Policy:
            def __init__(self, case):
                self.calls = 0

            def rebalance(self, hotness, deployment, iteration):
                self.calls += 1
                for _ in range(self.calls):
                    self.part(hotness)

            def part(self, hotness):
                return np.cov(hotness[:, 0].T)
    """
    world = write_kit_world(tmp_path / "world")
    paths = ("--grid", world / "grid.yaml", "--traces", world / "traces", "--case", "Small/one:4", "--call", 2)
    done = run_program(KIT, "profile", write_policy(tmp_path / "policy", source), *paths)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("Small/one ep 4, call 2 (iteration 8): hotness [3, 2, 4], ")
    assert lines[1].startswith("alone: ")
    # The policy begins anew each time: at its second call the part is run twice.
    assert any(re.search(r" 1  rebalance \(policy\.py:8\)$", line) for line in lines)
    assert any(re.search(r" 2  part \(policy\.py:13\)$", line) for line in lines)
    assert any(re.search(r" 2  policy\.py:14  return np\.cov\(hotness\[:, 0\]\.T\)$", line) for line in lines)
    assert not [line for line in lines if "isolation" in line]


def test_an_exception_at_the_call_is_shown_as_python_does(tmp_path: Path) -> None:
    world = write_kit_world(tmp_path / "world")
    policy = write_policy(tmp_path / "policy", "def rebalance(hotness, n_device, n_red_expert):\n    1 / 0\n")
    done = run_program(KIT, "profile", policy, "--grid", world / "grid.yaml", "--traces", world / "traces")
    assert done.returncode == 1 and done.stderr.endswith("ZeroDivisionError: division by zero\n")
    assert done.stdout.endswith(
        "the policy raised the exception above. Next: correct the policy and repeat this command\n"
    )


def spin() -> None:
    with ended_after(0.01):
        while True:
            pass


def test_a_loop_that_does_not_end_is_ended_with_its_line_and_another_alarm_stays() -> None:
    before = signal.signal(signal.SIGALRM, signal.SIG_IGN)
    try:
        with pytest.raises(TimeoutError, match=r"no answer within 0\.01 s; look for a loop that does not end"):
            spin()
        assert signal.getsignal(signal.SIGALRM) is signal.SIG_IGN
        assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    finally:
        signal.signal(signal.SIGALRM, before)
