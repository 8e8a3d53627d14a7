"""The temporary files of a program: in a folder that goes with it, at the latest when the next program begins."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..isolation.removal import remove_folder
from .interruption import remove

try:
    import fcntl
except ImportError:
    # Windows: there no folder is locked, and none that was left is removed.
    fcntl = None

PREFIX = "expert-placement-run-"
# The folders that this program has now, for an interrupt to remove.
HELD: list[str] = []


@contextmanager
def fresh_folder() -> Iterator[Path]:
    """A new temporary folder, which is removed with all it holds; so are those whose programs were killed.

    A lock says that its program lives. The kernel holds it for this process and its forks, and lets it go with the last
    of them; programs that are started, as policies are, do not have it.
    """
    remove_abandoned()
    folder, lock = _locked_folder()
    HELD.append(folder)
    try:
        yield Path(folder)
    finally:
        # A policy that was just killed may not have ended.
        remove(folder)
        HELD.remove(folder)
        os.close(lock)


@contextmanager
def temporary_folder() -> Iterator[None]:
    """Keep the temporary files of all processes in a fresh folder, and remove it whatever becomes of them."""
    before = _place()
    with fresh_folder() as folder:
        # Processes that are forked have this value, others read the environment.
        tempfile.tempdir = os.environ["TMPDIR"] = str(folder)
        try:
            yield
        finally:
            tempfile.tempdir = os.environ["TMPDIR"] = before


def remove_abandoned() -> None:
    """Remove this user's folders of that kind that no living program has locked; nothing else, and no link's goal."""
    if fcntl is None:
        return
    with suppress(OSError), os.scandir(_place()) as entries:
        for path in [entry.path for entry in entries if entry.name.startswith(PREFIX)]:
            # Another user's folder, a link, a lock that is held, a file system without locks.
            with suppress(OSError):
                lock = _open(path)
                try:
                    if os.fstat(lock).st_uid == os.geteuid():
                        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        remove_folder(path)
                finally:
                    os.close(lock)


def _place() -> str:
    """Where temporary files go; tempfile would find it by a file that a program which is killed then leaves."""
    given = (tempfile.tempdir, os.environ.get("TMPDIR"), "/tmp")
    here = (place for place in given if place and os.path.isdir(place) and os.access(place, os.W_OK | os.X_OK))
    return os.path.abspath(next(here, None) or tempfile.gettempdir())


def _locked_folder() -> tuple[str, int]:
    while True:
        folder = tempfile.mkdtemp(prefix=PREFIX, dir=_place())
        if fcntl is None:
            return folder, os.open(os.devnull, os.O_RDONLY)
        # Before it is locked, another program may take the folder for an abandoned one.
        with suppress(FileNotFoundError):
            lock = _open(folder)
            if _is_mine(lock) and os.path.lexists(folder):
                return folder, lock
            os.close(lock)


def _is_mine(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # A file system without locks has no abandoned folders either.
        return True
    return True


def _open(folder: str) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
