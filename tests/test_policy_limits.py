"""Limits on a policy: its time, its memory and its log, by the simulator's clock and rules."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from submissions import DECLINES, INGESTION, run_policy, sentence_of, slow_calls, write_policy

START, CALL = "Small/one ep 2, start", "Small/one ep 2, call 1 (iteration 4)"
SLOW = "Next: make it faster; kit.py check shows how many seconds a call takes."
# Python and numpy need about a tenth of it themselves.
MEMORY = 2**29
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits a process's memory")


def in_call(*lines: str) -> str:
    """The source of a policy that runs lines at every call."""
    return (
        "\n    ".join(["import os\nimport numpy as np\ndef rebalance(hotness, n_device, n_red_expert):", *lines]) + "\n"
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


@pytest.mark.parametrize(
    ("source", "limit", "where", "expected"),
    [
        (STUBBORN, "start_seconds", START, "policy.py imported and ready"),
        # It burns no processor: the case's limit is one of processor time too, which may be over first.
        (PAUSES, "case_seconds", START, "start and all calls of a case together"),
        (in_call("while True: pass"), "call_seconds", CALL, "an answer to every call"),
        (in_call("while True: print('again')"), "call_seconds", CALL, "an answer to every call"),
    ],
)
def test_a_policy_that_hangs_is_stopped(tmp_path: Path, source: str, limit: str, where: str, expected: str) -> None:
    text = f"{where}: the policy took too long. Got: no answer within 1 s ({limit}). Expected: {expected}. {SLOW}"
    assert run(tmp_path, source, **{limit: 1}) == ("timeout", text)


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
    text = "call 2 (iteration 8): the policy took too long. Got: no answer within 7000 s (case_seconds)."
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
