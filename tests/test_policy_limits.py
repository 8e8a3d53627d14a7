"""Limits on a policy: its time, its memory and its log, by the simulator's clock and rules."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from placement.evaluation.case_run import Outcome
from placement.grid import grid_from_mapping
from placement.isolation import failures, stack
from placement.isolation import process as policy_process
from placement.isolation.process import PolicyProcess
from placement.trace import Trace
from submissions import (
    DECLINES,
    INGESTION,
    grid_mapping,
    run_case,
    run_policy,
    sentence_of,
    slow_calls,
    stored_hotness,
    tiny_grid,
    write_policy,
)

START, CALL = "Small/one ep 2, start", "Small/one ep 2, call 1 (iteration 4)"
SLOW = "Next: make the policy faster; kit.py profile shows where the seconds of a call go."
# Python and numpy need about a tenth of it themselves.
MEMORY = 2**29
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits a process's memory")


def in_call(*lines: str) -> str:
    """The source of a policy that runs lines at every call."""
    return (
        "\n    ".join(
            ["import os, signal\nimport numpy as np\ndef rebalance(hotness, n_device, n_red_expert):", *lines]
        )
        + "\n"
    )


def run(folder: Path, source: str, **limits: float) -> tuple[str, str]:
    """Status and message of a policy's case."""
    row = run_policy(write_policy(folder, source), **limits).row
    return row["status"], sentence_of(row)


STUBBORN = """
import signal
for number in range(1, 32):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
while True:
    try:
        while True:
            pass
    except BaseException:
        pass
"""
PAUSES = "import signal\nwhile True: signal.pause()\n"


@pytest.fixture(autouse=True)
def on_any_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """How much of its time a policy had the processor, a busy machine decides."""
    monkeypatch.setattr(failures, "IDLE_SHARE", 0.0)


@pytest.fixture
def late_when_it_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time is over as soon as the policy prints; then it is waited for until it says where it is."""
    read, passed = PolicyProcess._read_output, [0.0]

    def look(process: PolicyProcess) -> None:
        read(process)
        # It may print before it is known that it is isolated.
        passed[0] = 10.0**6 if process._printed.text and process.layers else 0.0

    monkeypatch.setattr(stack, "SECONDS", 60.0)
    monkeypatch.setattr(PolicyProcess, "_read_output", look)
    monkeypatch.setattr(policy_process, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + passed[0]))


CALLS, CASE = "an answer to every call", "start and all calls of a case together"
IN_CALL, IN_HELPER = "policy.py, line 4, in rebalance", "part/slow.py, line 4, in wait"
HELPER = {"part/slow.py": "import time\n\ndef wait():\n    print('slow', flush=True); time.sleep(60)\n"}


@pytest.mark.usefixtures("late_when_it_prints")
@pytest.mark.parametrize(
    ("source", "limit", "where", "place", "expected"),
    [
        (
            "while True: print('again')\n",
            "start",
            START,
            "policy.py, line 1, in <module>",
            "policy.py imported and ready",
        ),
        (in_call("print('now', flush=True); signal.pause()"), "call", CALL, IN_CALL, CALLS),
        (in_call("while True: print('again')"), "call", CALL, IN_CALL, CALLS),
        # One long computation in C, which holds the interpreter.
        (in_call("print('now', flush=True); pow(3, 10**9)"), "call", CALL, IN_CALL, CALLS),
        ("from part.slow import wait\n" + in_call("wait()"), "call", CALL, IN_HELPER, CALLS),
        (
            in_call("wait()").replace("import os", "from part.slow import wait; import os"),
            "case",
            CALL,
            IN_HELPER,
            CASE,
        ),
    ],
)
def test_the_message_says_where_a_policy_was_when_its_time_was_over(
    tmp_path: Path, source: str, limit: str, where: str, place: str, expected: str
) -> None:
    write_policy(tmp_path, source, HELPER)
    text = (
        f"{where}: the policy took too long. Got: no answer within 20 s ({limit}_seconds); the policy was at {place}."
    )
    assert run(tmp_path, source, **{f"{limit}_seconds": 20}) == ("timeout", f"{text} Expected: {expected}. {SLOW}")


@pytest.mark.parametrize(
    ("source", "limit", "where", "expected"),
    [
        # It burns no processor: the case's limit is one of processor time too, which may be over first.
        (PAUSES, "case_seconds", START, "start and all calls of a case together"),
        (in_call("while True: pass"), "call_seconds", CALL, "an answer to every call"),
    ],
)
def test_a_policy_that_hangs_is_stopped(tmp_path: Path, source: str, limit: str, where: str, expected: str) -> None:
    status, text = run(tmp_path, source, **{limit: 1})
    start = f"{where}: the policy took too long. Got: no answer within 1 s ({limit})"
    # How far it came depends on the machine.
    assert status == "timeout" and text.startswith(start) and text.endswith(f" Expected: {expected}. {SLOW}")


@pytest.mark.parametrize(
    ("limit", "computed", "got", "next_step"),
    [
        (
            "call_seconds",
            14.9,
            "30 s (call_seconds), in which the policy used 14.9 s of processor time; the policy was at p",
            "find out what",
        ),
        (
            "start_seconds",
            0.0,
            "30 s (start_seconds), in which the policy used 0.0 s of processor time; the policy was at p",
            "find out what",
        ),
        ("call_seconds", 15.0, "30 s (call_seconds); the policy was at p", "make the policy faster"),
        ("call_seconds", None, "30 s (call_seconds); the policy was at p", "make the policy faster"),
        ("case_seconds", 0.1, "60 s (case_seconds); the policy was at p", "make the policy faster"),
    ],
)
def test_who_was_late_without_the_processor_learns_that(
    monkeypatch: pytest.MonkeyPatch, limit: str, computed: float | None, got: str, next_step: str
) -> None:
    monkeypatch.setattr(failures, "IDLE_SHARE", 0.5)
    error = failures.late(limit, tiny_grid().limits, computed, "p")
    assert error.got == f"no answer within {got}" and error.next_step.startswith(next_step)


def test_a_policy_that_takes_no_signal_is_stopped_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "SECONDS", 0.1)
    status, text = run(tmp_path, STUBBORN, start_seconds=1)
    start = f"{START}: the policy took too long. Got: no answer within 1 s (start_seconds)"
    assert status == "timeout" and text.startswith(start) and text.endswith(SLOW)


def hangs(folder: Path, hidden: bool) -> Outcome:
    """The outcome of a case that hangs in a function of the policy's."""
    source = "def outer():\n    print('first', flush=True); signal.pause()\n" + in_call("outer()")
    grid = grid_from_mapping(grid_mapping() | {"hidden": hidden})
    folder = write_policy(folder, source)
    return run_case(folder, grid.cases[0], Trace(stored_hotness("Small")), grid, time.monotonic() + 300)


@pytest.mark.usefixtures("late_when_it_prints")
def test_the_stack_of_a_policy_that_hangs_stands_in_the_log_with_its_own_lines_alone(tmp_path: Path) -> None:
    frames = "  policy.py, line 6, in rebalance\n  policy.py, line 2, in outer"
    assert hangs(tmp_path, False).log == f"first\nStack (most recent call last):\n{frames}"


@pytest.mark.usefixtures("late_when_it_prints")
def test_of_hidden_traces_no_stack_is_told(tmp_path: Path) -> None:
    outcome = hangs(tmp_path, True)
    assert outcome.row["failure"]["what"] == "timeout. Hidden traces: no more is told"
    assert "policy.py, line" not in str(outcome.row) + outcome.log


@linux
def test_the_lines_that_led_to_used_up_memory_stand_in_the_log(tmp_path: Path) -> None:
    source = "def outer():\n    return np.ones(2**30)\n" + in_call("outer()")
    log = run_policy(write_policy(tmp_path, source), memory_bytes=MEMORY).log
    for line, name in ((6, "rebalance"), (2, "outer")):
        assert f'  File "policy.py", line {line}, in {name}\n' in log


def test_a_case_that_begins_after_the_grid_s_time_is_not_waited_for(tmp_path: Path) -> None:
    row = run_policy(write_policy(tmp_path, DECLINES), seconds_left=0).row
    text = "Got: no answer within 300 s (grid_seconds). Expected: all cases of the grid."
    assert (row["status"], sentence_of(row)) == ("timeout", f"{START}: the policy took too long. {text} {SLOW}")


@linux
@pytest.mark.parametrize(
    ("source", "where", "got"),
    [
        (in_call("np.ones(2**30)"), CALL, r"\w*MemoryError: Unable to allocate 8.00 GiB .*\(policy.py, line 4, .*\)"),
        (in_call("kept = []", "while True: kept.append(bytes(2**24))"), CALL, r"MemoryError \(policy.py, line 5, .*\)"),
        ("kept = [0]\nwhile True: kept += kept\n", START, r"MemoryError \(policy.py, line 2, in <module>\)"),
    ],
)
def test_used_up_memory_is_reported_as_such(tmp_path: Path, source: str, where: str, got: str) -> None:
    status, text = run(tmp_path, source, memory_bytes=MEMORY)
    assert status == "out_of_memory"
    what, end = "the policy ran out of memory", f"Expected: at most {MEMORY} bytes. Next: keep less data."
    assert re.fullmatch(f"{re.escape(where)}: {what}. Got: {got}. {end}", text)


@linux
def test_kept_windows_that_use_up_the_memory_are_reported_as_such(tmp_path: Path) -> None:
    # The process is beyond this limit already, so that the next window finds no room.
    source = in_call("import resource", f"resource.setrlimit(resource.RLIMIT_AS, (1, {MEMORY}))", "return [False] * 4")
    text = "the policy ran out of memory. Got: OSError: [Errno 12] Cannot allocate memory."
    assert run(tmp_path, source, memory_bytes=MEMORY) == (
        "out_of_memory",
        f"Small/one ep 2, call 2 (iteration 8): {text} Expected: at most {MEMORY} bytes. Next: keep less data.",
    )


@linux
def test_a_lower_limit_of_the_machine_s_own_is_kept() -> None:
    lines = f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({MEMORY}, {MEMORY})); _limit(2**40, 60)"
    source = f"from placement.isolation.sandbox import _limit; {lines}; print(*resource.getrlimit(resource.RLIMIT_AS))"
    command = [sys.executable, "-c", source]
    assert subprocess.check_output(command, cwd=INGESTION.parent, text=True) == f"{MEMORY} {MEMORY}\n"


def printed(folder: Path, source: str, **limits: float) -> str:
    """The log of a policy that declines after it has printed."""
    outcome = run_policy(write_policy(folder, source + DECLINES), **limits)
    assert outcome.row["status"] == "ok"
    return outcome.log


def test_a_long_log_is_cut_and_says_so(tmp_path: Path) -> None:
    assert printed(tmp_path, "print('x' * 2**20)\n", log_bytes=1000) == "x" * 1000 + "\n[cut at 1000 bytes]"


def test_a_log_of_just_the_limit_is_not_cut(tmp_path: Path) -> None:
    assert printed(tmp_path, "print('x' * 1000, end='')\n", log_bytes=1000) == "x" * 1000


def test_a_log_cannot_steer_a_terminal(tmp_path: Path) -> None:
    source = r"import os; os.write(1, b'a\x1b[2J\rb\x00\xff\tc\n'); print('\u202ed')" + "\n"
    assert printed(tmp_path, source) == "a\ufffd[2J\ufffdb\ufffd\ufffd\tc\n\ufffdd"


def test_what_a_policy_printed_before_its_end_is_kept(tmp_path: Path) -> None:
    outcome = run_policy(write_policy(tmp_path, in_call("print('last words', end='')", "os._exit(1)")))
    assert outcome.log == "last words"
    assert outcome.row["status"] == "crashed"


def test_calls_of_a_case_add_up_to_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow_calls(monkeypatch, 4000)
    policy = write_policy(tmp_path, DECLINES)
    row = run_policy(policy, seconds_left=10**6, call_seconds=5000, case_seconds=7000).row
    text = "call 2 (iteration 8): the policy took too long. Got: no answer within 7000 s (case_seconds)"
    assert (row["status"], text in sentence_of(row)) == ("timeout", True)


def test_the_environment_is_the_same_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_WORKER", "1")
    _, text = run(
        tmp_path, "import os\nraise ValueError(' '.join(f'{k}={v}' for k, v in sorted(os.environ.items())))\n"
    )
    mkl, openmp, openblas = (f"{name}_NUM_THREADS=1" for name in ("MKL", "OMP", "OPENBLAS"))
    assert re.search(
        rf"ValueError: HOME=(\S+) JOBLIB_MULTIPROCESSING=0 LANG=C.UTF-8 {mkl} NUMBA_CACHE_DIR=\1 {openmp} {openblas} "
        r"PATH=\S+ PYTHONHASHSEED=0 TMPDIR=\1 VECLIB_MAXIMUM_THREADS=1 ",
        text,
    )
    assert "SECRET" not in text
