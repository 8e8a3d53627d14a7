"""The traces in a folder: their names, `<model>/<dataset>`, and which of them may be replaced."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from placement.errors import OrganizerError
from placement.traces.files import SUFFIXES

from .manifest import MANIFEST, read_manifest

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")
FORM = "<model>/<dataset>, of letters, digits, '.', '_' and '-'"


def traces_in(folder: Path, suffixes: tuple[str, ...]) -> list[str]:
    """Names of the traces whose files lie in a folder, each once, in order."""
    paths = sorted(path for path in folder.glob("*/*") if path.suffix in suffixes and path.is_file())
    return list(dict.fromkeys(f"{path.parent.name}/{path.stem}" for path in paths))


def parts_of(name: str, where: str = MANIFEST) -> list[str]:
    """Model and dataset of a trace's name. Raises OrganizerError for a name of another form."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise OrganizerError("a trace has no plain name", repr(name), FORM, "rename it", where)
    return name.split("/")


def no_trace(folder: Path, where: str = "traces") -> OrganizerError:
    """The error for a folder in which no trace lies."""
    expected = "<model>/<dataset>.npy, .npz or .sealed"
    return OrganizerError("there is no trace", f"none in {folder}", expected, "correct --traces", where)


def refuse_to_replace(folder: Path, name: str, made: str, is_made: Callable[[Mapping[str, Any]], bool]) -> list[Path]:
    """The files of a trace that a new one may replace: its entry in the manifest shows how it was made.

    made: how, for the message; is_made: of an entry. Raises OrganizerError for any other trace of this name: it may
    be a recording, which nothing makes again.
    """
    entry, where = read_manifest(folder)["traces"].get(name), f"trace {name}"
    present = [path for suffix in SUFFIXES if (path := folder / f"{name}{suffix}").exists()]
    if entry is None and present:
        what, got = "a file of this name may be a recording", f"{present[0]}, which is not in {MANIFEST}"
        raise OrganizerError(what, got, "no file of this trace", "move it away", where)
    if entry is not None and not is_made(entry):
        got = f"{entry.get('file')} in {folder}, origin {entry.get('origin')!r}"
        what, expected = f"a trace that was not {made} is not replaced", f"a plain trace that was {made}"
        raise OrganizerError(what, got, expected, "choose another dataset's name", where)
    return present
