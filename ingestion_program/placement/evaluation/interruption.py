"""How a program is interrupted, and where its temporary files are meanwhile."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

INTERRUPTED = 130
# To remove a folder in which something is still made.
ATTEMPTS = 100
# Held while a line is printed, and by an interrupt for ever: what it ends has not failed.
PRINTING = threading.Lock()
# The temporary folder of the run that goes on, for an interrupt to remove.
TEMPORARY: list[str] = []


@contextmanager
def temporary_folder() -> Iterator[None]:
    """Keep the temporary files of all processes in one folder, and remove it whatever becomes of them."""
    before = tempfile.gettempdir()
    TEMPORARY.append(tempfile.mkdtemp(prefix="expert-placement-"))
    # Processes that are forked have this value, others read the environment.
    tempfile.tempdir = os.environ["TMPDIR"] = TEMPORARY[-1]
    try:
        yield
    finally:
        shutil.rmtree(TEMPORARY.pop(), ignore_errors=True)
        tempfile.tempdir = os.environ["TMPDIR"] = before


def remove(folder: str) -> None:
    """Remove a folder in which other threads and processes may still make files: they find it gone from the start."""
    gone = f"{folder}-removed"
    with suppress(OSError):
        os.rename(folder, gone)
    # A policy that has not died yet may still make a file in its folder, which it is in.
    for _ in range(ATTEMPTS):
        shutil.rmtree(gone, ignore_errors=True)
        if not os.path.exists(gone):
            break


def end_when_interrupted(message: str) -> None:
    """Have SIGINT and SIGTERM end this program at once with all its processes, also while threads wait for them."""

    def end(*signal_and_frame: object) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        PRINTING.acquire(timeout=1)
        processes = multiprocessing.active_children()
        for process in processes:
            process.kill()
        for process in processes:
            process.join()
        for folder in TEMPORARY:
            remove(folder)
        # Whoever read the lines may be gone, and the program must end all the same.
        with suppress(OSError):
            os.write(sys.stdout.fileno(), f"{message}\n".encode())
        os._exit(INTERRUPTED)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
