"""The stack that a policy's process writes, read: its own frames alone, and nothing that steers a log."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from placement.isolation import stack

FOLDER = Path("/tmp/p\u00fc")
SAID = rb"""printed before
Stack (most recent call first):
  File "/usr/lib/python3.12/threading.py", line 355 in wait
  File "/tmp/p\xfc/part/slow.py", line 4 in wait
  File "/tmp/p\xfc/policy.py", line 12 in rebalance
  File "/bundle/placement/isolation/host.py", line 40 in main
  File "<string>", line 1 in <module>
"""
# Answers with a stack whose innermost function tells what came of writing to a file.
WRITES = """
import errno, os, signal, sys
file = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)
def answer(*_):
    try:
        word = os.write(file, b"x")
    except OSError as error:
        word = errno.errorcode[error.errno]
    print(f'  File "{sys.argv[2]}/policy.py", line 1 in {word}\\n  File "<string>", line 1 in <module>', flush=True)
signal.signal(signal.SIGUSR1, answer)
print("ready", flush=True)
signal.pause()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no limit of another process can be set")
def test_a_process_that_is_asked_writes_to_no_file_any_more(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITES, str(tmp_path / "file"), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0) as process:
        try:
            assert process.stdout.readline() == b"ready\n"
            assert stack.ask(process.pid, process.stdout.fileno(), tmp_path) == ["policy.py, line 1, in EFBIG"]
        finally:
            process.kill()


def test_the_policy_s_own_frames_are_read_innermost_first() -> None:
    assert stack.places(SAID, FOLDER) == ["part/slow.py, line 4, in wait", "policy.py, line 12, in rebalance"]


def test_the_log_has_them_in_the_order_of_a_traceback() -> None:
    assert stack.lines(["a.py, line 1, in f", "policy.py, line 2, in g"]) == (
        "Stack (most recent call last):\n  policy.py, line 2, in g\n  a.py, line 1, in f"
    )
    assert stack.lines([]) == ""


def test_a_forged_frame_is_one_short_printable_line() -> None:
    said = b'  File "/p/policy.py", line 1 in \x1b[2J\t\xff' + b"x" * 1000 + b"\n"
    (place,) = stack.places(said, Path("/p"))
    assert (
        len(place) == stack.LONGEST_PLACE and place.isprintable() and place.startswith("policy.py, line 1, in \ufffd")
    )


def test_of_a_deep_stack_the_innermost_are_kept() -> None:
    lines = stack.lines([f"policy.py, line {number}, in f" for number in range(1000)])
    assert lines.endswith("\n  policy.py, line 0, in f") and len(lines) < 3000


@pytest.mark.parametrize(
    ("said", "ended"),
    [
        (SAID, True),
        (SAID.replace(b'File "<string>"', b'File "<string-0>"'), True),
        (SAID[: SAID.rfind(b"  File")], False),
        (SAID[: SAID.rfind(b"  File")] + b"  ...\n", True),
        (b"  ...", False),
    ],
)
def test_the_end_of_a_stack_is_known(said: bytes, ended: bool) -> None:
    assert bool(stack.END.search(said)) == ended
