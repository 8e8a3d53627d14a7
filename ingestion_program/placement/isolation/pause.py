"""A policy's process stands still while something of it is looked at, so that nothing changes under the look."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

# A process stops when its system calls end; one that does not in this time is looked at as it is.
LONGEST_SECONDS = 1.0


@contextmanager
def standing_still(process: int, send: Callable[[int], None]) -> Iterator[None]:
    """Stop all threads of a child process, and let them go on afterwards.

    process: its id; send: sends it a signal. Nothing of it but its parent can make it go on meanwhile.
    """
    send(signal.SIGSTOP)
    try:
        _wait_until_stopped(process)
        yield
    finally:
        send(signal.SIGCONT)


def _wait_until_stopped(process: int) -> None:
    # macOS's Python has no waitid before 3.13.
    if not hasattr(os, "waitid"):
        return
    ends = time.monotonic() + LONGEST_SECONDS
    kinds = os.WSTOPPED | os.WEXITED | os.WNOWAIT | os.WNOHANG
    with suppress(ChildProcessError):
        while not os.waitid(os.P_PID, process, kinds) and time.monotonic() < ends:
            time.sleep(0.0005)
