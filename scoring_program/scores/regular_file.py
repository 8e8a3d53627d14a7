"""Reads files that another program left: regular files only, up to a stated size."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

KINDS = {stat.S_IFDIR: "a folder", stat.S_IFLNK: "a link", stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket"}
BLOCK = 1024**2


class TooLarge(ValueError):
    """A file has more bytes than the stated size."""


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file to read. Raises OSError, also for other kinds: reading a pipe could wait without end."""
    _check(os.lstat(path).st_mode)
    # What was a file a moment ago may be something else now.
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK))  # noqa: SIM115
    try:
        _check(os.fstat(file.fileno()).st_mode)
    except OSError:
        file.close()
        raise
    return file


def read_regular(path: Path, largest: int) -> bytes:
    """The bytes of a regular file. Raises OSError as open_regular does, and TooLarge."""
    with open_regular(path) as file:
        data = file.read(largest + 1)
    if len(data) > largest:
        raise TooLarge(f"more than {largest} bytes")
    return data


def _check(mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise OSError(f"{KINDS.get(stat.S_IFMT(mode), 'a device')} instead of a file")
