"""Checks of a policy's process that the operating system has no limit for; the process stands still meanwhile."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress

from .scratch import ALLOWED, Scratch
from .usage import seconds_and_threads

MOST_THREADS = 256
# A process stops when its system calls end; one that does not in this time is looked at as it is.
LONGEST_SECONDS = 1.0
# Between two questions whether it stands still; one that waits for its next request does at once.
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.00002, 0.0005


def look(process: int, send: Callable[[int], None], scratch: Scratch) -> tuple[str, str] | None:
    """What is used beyond the allowed amount, and the allowed amount; None where all is well. The process then stands
    still.

    process, send: as for `stop`; scratch: the folder in which the process may write.
    """
    stop(process, send)
    if excess := scratch.excess(process):
        return f"{excess} in its temporary folder", ALLOWED
    threads = seconds_and_threads(process)[1]
    return (f"{threads} threads", f"at most {MOST_THREADS}") if threads > MOST_THREADS else None


def stop(process: int, send: Callable[[int], None]) -> None:
    """Stop all threads of a child process, and wait until they stand still.

    process: the process id; send: sends the process a signal. Only the parent can make the process continue.
    """
    send(signal.SIGSTOP)
    # macOS's Python has no waitid before 3.13.
    if not hasattr(os, "waitid"):
        return
    ends, pause = time.monotonic() + LONGEST_SECONDS, FIRST_PAUSE_SECONDS
    kinds = os.WSTOPPED | os.WEXITED | os.WNOWAIT | os.WNOHANG
    with suppress(ChildProcessError):
        while not os.waitid(os.P_PID, process, kinds) and time.monotonic() < ends:
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
