"""Files that a process has removed and still uses. They have no name, but still take room on the disk."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from .sandbox import LARGEST_FILE_BYTES

REMOVED = b" (deleted)"


def nameless_bytes(process: int, folder: Path) -> int:
    """Bytes on the disk in the removed files of a folder, and of those below, that a child process holds.

    The process must stand still, and its threads share their descriptors. A file that only a mapping holds counts as
    LARGEST_FILE_BYTES, as nothing tells its size. 0 where the process has ended, hides, or the system has no /proc.
    """
    below = os.fsencode(os.path.realpath(folder)) + b"/"
    opened: dict[int, int] = {}
    mapped: set[int] = set()
    with suppress(FileNotFoundError, ProcessLookupError, PermissionError):
        # The first thread may have ended, and then tells nothing of what the others hold.
        for thread in os.listdir(f"/proc/{process}/task"):
            place = f"/proc/{process}/task/{thread}"
            if maps := Path(f"{place}/maps").read_bytes():
                opened, mapped = _opened(os.fsencode(f"{place}/fd"), below), _mapped(maps, below)
                break
    return sum(opened.values()) + len(mapped - opened.keys()) * LARGEST_FILE_BYTES


def _opened(descriptors: bytes, below: bytes) -> dict[int, int]:
    """Bytes by file number, of removed files that descriptors hold."""
    found = {}
    for descriptor in os.listdir(descriptors):
        path = os.path.join(descriptors, descriptor)
        with suppress(FileNotFoundError):
            status = os.stat(path)
            # The windows have no name either, and are memory.
            if not status.st_nlink and _lay_in(below, path):
                found[status.st_ino] = status.st_blocks * 512
    return found


def _lay_in(below: bytes, path: bytes) -> bool:
    try:
        return os.readlink(path).startswith(below)
    except OSError as error:
        # Folders that are gone as well, deeper than a path can be. No window has such a name.
        if error.errno == errno.ENAMETOOLONG:
            return True
        raise


def _mapped(maps: bytes, below: bytes) -> set[int]:
    """Numbers of removed files that mappings hold; maps: a process's memory map."""
    # Addresses, rights, offset, device, file number, path.
    lines = [line.split(maxsplit=5) for line in maps.splitlines() if line.endswith(REMOVED)]
    return {int(line[4]) for line in lines if line[5].startswith(below)}
