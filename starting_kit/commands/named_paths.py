"""Folders and files that an option names: checked before anything is run, drawn or removed."""

from __future__ import annotations

import os
from pathlib import Path

from .options import UsageError


def check_folder(option: str, path: Path, holds: str) -> None:
    """Raise UsageError unless a folder that is read is there."""
    if not path.is_dir():
        raise UsageError(f"{option} is no folder", str(path), f"a folder with {holds}", f"correct {option}")


def check_no_file(option: str, path: Path | None, holds: str) -> None:
    """Raise UsageError when a file is named for a folder; what is missing has a message of its own elsewhere."""
    if path and path.exists():
        check_folder(option, path, holds)


def check_output(option: str, folder: Path) -> None:
    """Raise UsageError unless a folder is there, or can be made, and can be written to; nothing is made here."""
    folder = folder.absolute()
    # Of what is there the nearest: a link that leads nowhere is there, too.
    there = next(place for place in (folder, *folder.parents) if place.exists() or place.is_symlink())
    if not there.is_dir():
        next_step = f"name another {option}, or move it away"
        raise UsageError(f"a file is in the way of {option}", str(there), "a folder, or a name that is free", next_step)
    if not os.access(there, os.W_OK | os.X_OK):
        expected, next_step = "a folder that may be written to", f"name another {option}"
        raise UsageError(f"{option} cannot be written", f"no right to write into {there}", expected, next_step)


def check_output_file(option: str, file: Path) -> None:
    """Raise UsageError when a file cannot be written for a folder of its name, or for what is above."""
    if file.is_dir():
        raise UsageError(f"{option} is a folder", str(file), "the name of a file", f"correct {option}")
    check_output(option, file.parent)
