"""The output folder of a sweep, into which one sweep at a time may write."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from placement.errors import Problem

try:
    import fcntl
except ImportError:
    # Windows: there no folder is locked.
    fcntl = None

LOCK = ".lock"


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the folder, which is made where it is missing, for this sweep. Raises Problem where another holds it.

    The kernel lets a lock go with its program, however that ends. A file system without locks refuses nobody.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / LOCK, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        with suppress(OSError):
            _take(lock, folder)
        yield
    finally:
        os.close(lock)


def _take(lock: int, folder: Path) -> None:
    try:
        if fcntl:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        expected, next_step = "a folder for each sweep at a time", "wait until it has ended, or name another --output"
        raise Problem("another sweep writes into the output folder", str(folder), expected, next_step) from None
