"""Checks of folders and files that options name, before anything is run, drawn or removed."""

from __future__ import annotations

import os
from pathlib import Path

from .options import UsageError


def check_folder(option: str, path: Path, holds: str) -> None:
    """Raise UsageError unless `path` is a folder; holds: what the folder should hold, for the message."""
    if not path.is_dir():
        raise UsageError(f"{option} is not a folder", str(path), f"a folder with {holds}", f"correct {option}")


def check_no_file(option: str, path: Path | None, holds: str) -> None:
    """Raise UsageError when `path` is a file. A missing folder has a message elsewhere."""
    if path and path.exists():
        check_folder(option, path, holds)


def check_output(option: str, folder: Path) -> None:
    """Raise UsageError unless the folder exists and is writable, or can be made. Nothing is made here."""
    folder = folder.absolute()
    # Of what is there the nearest: a link that leads nowhere is there, too.
    there = next(place for place in (folder, *folder.parents) if place.exists() or place.is_symlink())
    if not there.is_dir():
        next_step = f"name another folder with {option}, or move the file away"
        raise UsageError(f"a file is in the way of {option}", str(there), "a folder, or a name that is free", next_step)
    if not os.access(there, os.W_OK | os.X_OK):
        expected, next_step = "a writable folder", f"name another folder with {option}"
        raise UsageError(f"{option} cannot be written", f"no right to write into {there}", expected, next_step)


def check_output_file(option: str, file: Path) -> None:
    """Raise UsageError when the file cannot be written: a folder has its name, or its folder is not writable."""
    if file.is_dir():
        raise UsageError(f"{option} is a folder", str(file), "the name of a file", f"correct {option}")
    check_output(option, file.parent)
