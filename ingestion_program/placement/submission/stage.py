"""The stage: a copy of a submission's files and nothing else, in which the policy runs, here and on the platform."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from ..errors import OrganizerError, SubmissionRefused
from .files import LARGEST_BYTES, refused, shown, too_large

BLOCK = 1024**2
FILE_MODE, FOLDER_MODE = 0o644, 0o755
# Changed in 1980, as in a zip that pack makes. The last access lies ahead, in 2037, the last year that every file
# system holds: Linux then leaves it as it is, so that no case can tell by it what another one has read.
LAST_ACCESS, LAST_CHANGE = 2_145_830_400, 315_532_800


def stage(files: Mapping[str, Path], target: Path) -> None:
    """Copy files, by their names, into a folder; modes and times are the same everywhere.

    Hard links are not used: a write to the source would reach the copy, modes and times would change at both, and a
    link cannot leave the platform's mount. Raises SubmissionRefused for a file that cannot be read, OrganizerError when
    the copy cannot be written.
    """
    name, left, folders = "", LARGEST_BYTES, {target}
    try:
        for name, path in files.items():
            copy = target / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            folders.update(parent for parent in copy.parents if parent.is_relative_to(target))
            with open(_opened(name, path), "rb") as source, copy.open("xb") as file:
                while block := source.read(BLOCK):
                    left -= len(block)
                    if left < 0:
                        raise too_large(LARGEST_BYTES - left)
                    file.write(block)
            _settle(copy, FILE_MODE)
        for folder in folders:
            _settle(folder, FOLDER_MODE)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise _unreadable(name, error.strerror) from None
        raise OrganizerError(
            "the submission cannot be copied",
            got=f"{type(error).__name__}: {error.strerror}, at {shown(name)}",
            expected=f"room for {LARGEST_BYTES} bytes in the folder for temporary files",
            next_step="free space there, or name another folder in TMPDIR",
            where="submission",
        ) from None


def _settle(path: Path, mode: int) -> None:
    path.chmod(mode)
    os.utime(path, (LAST_ACCESS, LAST_CHANGE))


def _opened(name: str, path: Path) -> int:
    try:
        # Without waiting: what was a file a moment ago may be a pipe now.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        raise _unreadable(name, error.strerror) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _unreadable(name, "not a regular file")
    return descriptor


def _unreadable(name: str, reason: str) -> SubmissionRefused:
    return refused(
        "a file of the submission cannot be read",
        got=f"{shown(name)}: {reason}",
        expected="files that can be opened",
        next_step="correct its permissions, or shorten its path",
    )
