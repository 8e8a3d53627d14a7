"""A process stands still while it is looked at, with all its threads."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from placement.isolation.look import stop

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
BUSY = """
import threading
def spin():
    while True:
        pass
for _ in range(3):
    threading.Thread(target=spin, daemon=True).start()
print("ready", flush=True)
spin()
"""


@pytest.fixture
def busy() -> Iterator[subprocess.Popen[str]]:
    """A process of four threads that never rest."""
    with subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def states(process: subprocess.Popen[str]) -> set[str]:
    """The states of all threads, as /proc tells them."""
    stats = [path.read_text() for path in Path(f"/proc/{process.pid}/task").glob("*/stat")]
    return {text.rpartition(")")[2].split()[0] for text in stats}


def test_all_threads_of_a_process_are_stopped_until_it_is_let_go_on(busy: subprocess.Popen[str]) -> None:
    for _ in range(20):
        stop(busy.pid, busy.send_signal)
        assert states(busy) == {"T"}
        busy.send_signal(signal.SIGCONT)
        assert "T" not in states(busy)


def test_a_process_that_has_ended_is_looked_at_at_once(busy: subprocess.Popen[str]) -> None:
    busy.kill()
    os.waitid(os.P_PID, busy.pid, os.WEXITED | os.WNOWAIT)
    stop(busy.pid, lambda number: os.kill(busy.pid, number))
    assert states(busy) <= {"Z", "X"}
    assert busy.wait() != 0
    stop(busy.pid, lambda number: None)
