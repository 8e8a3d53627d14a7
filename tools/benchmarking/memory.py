"""Peak memory of a program and all that it starts: shared pages count once."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from pathlib import Path

LOOK_SECONDS = 0.05
# Not every kernel tells which processes a process has started.
CHILDREN = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")


def command_peak(command: list[str]) -> int | None:
    """Run a command and return the largest sum of its processes' proportional sizes in bytes, seen every 50 ms.

    Two looks in a row must have seen it: for the moment between its start and its program's, a process has all of its
    parent's memory, and would count it twice. None where the system does not tell: outside Linux, and of hidden
    processes to anybody but root.
    Raises CalledProcessError when the command's exit code is not 0.
    """
    peak, before, readable = 0, 0, CHILDREN.exists()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while process.returncode is None:
            try:
                now = family_bytes(process.pid)
                peak, before = max(peak, min(before, now)), now
            except PermissionError:
                readable = False
            with suppress(subprocess.TimeoutExpired):
                process.wait(LOOK_SECONDS)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return peak if readable and peak else None


def family_bytes(pid: int) -> int:
    """Proportional sizes of a process and everything that descends from it.

    Raises PermissionError when one of them lives and cannot be read.
    """
    sizes = [line.split()[1] for line in _read(f"/proc/{pid}/smaps_rollup").splitlines() if line.startswith("Pss:")]
    children = [_read(path).split() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    return sum(int(size) * 1024 for size in sizes) + sum(family_bytes(int(child)) for ids in children for child in ids)


def _read(path: str | Path) -> str:
    """A file of /proc, empty when its process has ended. Raises PermissionError."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(path).read_text()
    return ""
