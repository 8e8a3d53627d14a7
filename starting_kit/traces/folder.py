"""The names of the traces in a folder: `<model>/<dataset>`."""

from __future__ import annotations

import re
from pathlib import Path

from placement.errors import OrganizerError

from .manifest import MANIFEST

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")
FORM = "<model>/<dataset>, of letters, digits, '.', '_' and '-'"


def traces_in(folder: Path, suffixes: tuple[str, ...]) -> list[str]:
    """Names of the traces whose files lie in a folder, each once, in order."""
    paths = sorted(path for path in folder.glob("*/*") if path.suffix in suffixes and path.is_file())
    return list(dict.fromkeys(f"{path.parent.name}/{path.stem}" for path in paths))


def parts_of(name: str) -> list[str]:
    """Model and dataset of a trace's name. Raises OrganizerError for a name of another form."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise OrganizerError("a trace has no plain name", repr(name), FORM, "rename it", MANIFEST)
    return name.split("/")


def no_trace(folder: Path, where: str = "traces") -> OrganizerError:
    """The error for a folder in which no trace lies."""
    expected = "<model>/<dataset>.npy, .npz or .sealed"
    return OrganizerError("there is no trace", f"none in {folder}", expected, "correct --traces", where)
