"""What a submission consists of: the files of a policy's folder that are packed, hashed and run, and what is left
out.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from ..errors import SubmissionRefused
from .files import DEEPEST_LEVEL, LARGEST_BYTES, LARGEST_COUNT, entries, refused, shown, too_deep, too_large, too_many

# What systems add by themselves, and bytecode, which no policy is loaded from: no policy misses it.
ADDED = ("__pycache__", "__MACOSX", ".DS_Store", "Thumbs.db")
ADDED_SUFFIX, ARCHIVE_SUFFIX = ".pyc", ".zip"
MOST_NAMED = 10


def submission_files(folder: Path, without: Collection[str] = ()) -> tuple[dict[str, Path], list[str]]:
    """The files by their names with slashes, in order, and the names of what is left out: hidden files, bytecode, zips.

    folder: holds policy.py and was accepted by find_policy; without: names at its top that are no part, and are not
    named either. Links count as what they lead to. Raises SubmissionRefused at a link into a folder that holds it, and
    where links make too many files, bytes or levels.
    """
    files: dict[str, Path] = {}
    left_out: list[str] = []
    count = size = 0
    pending = [(folder, "", (folder.resolve(),))]
    while pending:
        place, prefix, outer = pending.pop()
        if len(outer) > DEEPEST_LEVEL:
            raise too_deep(len(outer), prefix.rstrip("/"))
        for path, status in entries(place, folder):
            path = Path(path)
            name = prefix + path.name
            if name in without:
                continue
            if is_added(path.name) or path.name.startswith(".") or path.suffix.lower() == ARCHIVE_SUFFIX:
                left_out.append(name + "/" * path.is_dir())
                continue
            count += 1
            if path.is_dir():
                if (inner := path.resolve()) in outer:
                    raise _loop(name, path)
                # Not through the link: of those on a path the kernel follows forty.
                pending.append((inner if path.is_symlink() else path, f"{name}/", (*outer, inner)))
            else:
                files[name] = path
                size += os.stat(path).st_size if path.is_symlink() else status.st_size
            if count > LARGEST_COUNT:
                raise too_many(count)
            if size > LARGEST_BYTES:
                raise too_large(size)
    return dict(sorted(files.items())), sorted(left_out)


def missed(left_out: list[str]) -> list[str]:
    """Of the names that submission_files leaves out, those that a policy may need: without hidden folders at the
    top.
    """
    return [name for name in left_out if not _is_hidden_folder(name) and not is_added(Path(name).name)]


def note_of(left_out: list[str]) -> str:
    """A note on what is left out and may be missed; "" where there is nothing."""
    names = [shown(name) for name in missed(left_out)]
    if not names:
        return ""
    listed = ", ".join(names[:MOST_NAMED]) + f" and {len(names) - MOST_NAMED} more" * (len(names) > MOST_NAMED)
    return f"left out, as pack leaves out hidden files, bytecode and zips: {listed}; the policy cannot read them"


def is_added(name: str) -> bool:
    """Whether a file or folder of this name was made by a program, not a person."""
    return name in ADDED or name.endswith(ADDED_SUFFIX)


def _is_hidden_folder(name: str) -> bool:
    return name.startswith(".") and name.endswith("/")


def _loop(name: str, path: Path) -> SubmissionRefused:
    return refused(
        "a link leads to a folder that holds the link",
        got=f"{shown(name)} -> {shown(os.readlink(path))}",
        expected="links that a zip can hold as files",
        next_step="remove the link",
    )
