"""Checks a submission's files without running, opening or following any of them."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from itertools import islice
from pathlib import Path

from ..errors import SubmissionRefused, printable

LARGEST_COUNT = 10_000
LARGEST_BYTES = 2**30
DEEPEST_LEVEL = 64
# Any file's name fits; a path of many folders is cut in the middle.
LONGEST_SHOWN = 300
NEEDED = "keep only the files that the policy needs"


def check_files(submission: Path) -> None:
    """Look at every file and folder of a submission once, but for hidden folders at its top (.venv, .git).

    Raises SubmissionRefused at a link that does not lead to a file or folder of the submission, at a file that is
    neither regular nor a folder nor a link, at a folder that cannot be read, and when there are too many files,
    bytes or levels.
    """
    top = str(submission)
    count = size = 0
    inside, links = {_identity(os.stat(top))}, []
    folders = [(top, 1)]
    while folders:
        folder, level = folders.pop()
        if level > DEEPEST_LEVEL:
            raise too_deep(level, os.path.relpath(folder, top))
        inner = []
        for path, status in entries(folder, top, LARGEST_COUNT + 1 - count):
            count += 1
            if count > LARGEST_COUNT:
                raise too_many(count)
            is_folder = stat.S_ISDIR(status.st_mode)
            if is_folder and level == 1 and os.path.basename(path).startswith("."):
                # Whoever works in the folder may keep an environment or a repository in it; it is no part, nor is what
                # a link to it leads to.
                continue
            inside.add(_identity(status))
            if is_folder:
                inner.append((path, level + 1))
            elif stat.S_ISLNK(status.st_mode):
                links.append(path)
            elif not stat.S_ISREG(status.st_mode):
                raise refused(
                    "the submission has a file of a kind that is not allowed",
                    got=f"{shown(os.path.relpath(path, top))}, {_kind(status.st_mode)}",
                    expected="regular files, folders, and links to these",
                    next_step="remove it from the zip",
                )
            else:
                size += status.st_size
            if size > LARGEST_BYTES:
                raise too_large(size)
        folders += reversed(inner)
    for path in links:
        _check_link(path, top, inside)


def entries(
    folder: str | Path, submission: str | Path, most: int = LARGEST_COUNT + 1
) -> list[tuple[str, os.stat_result]]:
    """Path and own status (a link's, not its target's) of a folder's entries in order, at most so many of them.

    Raises SubmissionRefused when the folder, one of the submission's, cannot be read.
    """
    try:
        with os.scandir(folder) as scan:
            return sorted((entry.path, entry.stat(follow_symlinks=False)) for entry in islice(scan, most))
    except OSError as error:
        place = os.path.relpath(folder, submission)
        raise refused(
            "a folder of the submission cannot be read",
            got=f"{'the top folder' if place == '.' else shown(place)}: {error.strerror}",
            expected="folders that can be listed and entered",
            next_step="correct its permissions, or shorten its path",
        ) from None


def shown(name: str) -> str:
    """The name or path of a file on one line, without control characters, shortened if long; never blank."""
    if len(name) > LONGEST_SHOWN:
        name = f"{name[: LONGEST_SHOWN // 2]}...{name[-LONGEST_SHOWN // 2 :]}"
    return " ".join(printable(name).split()) or repr(name)


def too_many(count: int) -> SubmissionRefused:
    """The error for more than LARGEST_COUNT files and folders."""
    got = f"{count} files and folders so far"
    return refused("the submission has too many files", got, f"at most {LARGEST_COUNT}", NEEDED)


def too_large(size: int) -> SubmissionRefused:
    """The error for more than LARGEST_BYTES in all files."""
    return refused("the submission is too large", f"{size} bytes so far", f"at most {LARGEST_BYTES} bytes", NEEDED)


def too_deep(level: int, place: str) -> SubmissionRefused:
    """The error for a folder below DEEPEST_LEVEL; place: its path in the submission."""
    got, expected = f"{level} levels at {shown(place)}", f"at most {DEEPEST_LEVEL} levels"
    return refused("the submission's folders are nested too deep", got, expected, "move the files to a higher folder")


def refused(what: str, got: str, expected: str, next_step: str) -> SubmissionRefused:
    """The error for a submission that is not run."""
    return SubmissionRefused(what, got, expected, next_step, where="submission")


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _check_link(path: str, top: str, inside: set[tuple[int, int]]) -> None:
    target, accepted = "nothing", False
    with suppress(OSError):
        target = os.readlink(path)
        # The kernel bounds chains and loops of links; resolving names here could be made to take minutes.
        accepted = _identity(os.stat(path)) in inside
    if not accepted:
        raise refused(
            "a link does not lead to a file or folder of the submission",
            got=f"{shown(os.path.relpath(path, top))} -> {shown(target)}",
            expected="links that stay inside the submission",
            next_step="replace the link by a copy of its target, or remove the link",
        )


def _kind(mode: int) -> str:
    kinds = {stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")
