"""Errors of a dump file as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from placement.errors import OrganizerError


def pickled(path: Path, may_be_allowed: bool = True) -> OrganizerError:
    """The error for a file that holds pickled objects; may_be_allowed: whether the form has the option --allow-
    pickle.
    """
    allow = "; or, if you trust the file, give --allow-pickle: unpickling runs any code that its author put into it"
    return OrganizerError(
        "the file holds pickled objects",
        got="objects that only unpickling can make",
        expected="arrays, numbers, texts and lists",
        next_step="export arrays only" + (allow if may_be_allowed else ""),
        where=path.name,
    )


def unreadable(path: Path, error: Exception) -> OrganizerError:
    """The error for a damaged file."""
    line = (str(error).splitlines() or [""])[0]
    return OrganizerError(
        "the file cannot be read",
        got=f"{type(error).__name__}: {line}",
        expected=f"a complete {path.suffix} file",
        next_step="copy the file again",
        where=path.name,
    )


def kind_of(value: Any) -> str:
    """What a value is, for an error: `a list`, `an int`."""
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
