"""Where a converted trace goes: the file, and its entry in the folder's manifest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from placement.errors import OrganizerError

from ..folder import refuse_to_replace
from ..manifest import entry_of, read_manifest, write_manifest
from ..trace_file import write_trace

RECORDED = "recorded:"
BY = "kit.py convert"


def refuse_recording(folder: Path, name: str, replace: bool) -> None:
    """Raise OrganizerError when a trace of this name, <model>/<dataset>, is there and may not be replaced.

    Only a trace that was converted is replaced, and only when `replace` is set.
    """
    refuse_other(folder, name, "converted", _is_converted)
    if name in read_manifest(folder)["traces"] and not replace:
        got, next_step = str(folder / f"{name}.npy"), "give --replace, or choose another --dataset"
        raise OrganizerError("the trace was converted before", got, "a new name", next_step, f"trace {name}")


def refuse_other(folder: Path, name: str, made: str, is_made: Callable[[Mapping[str, Any]], bool]) -> None:
    """As refuse_to_replace, and raise OrganizerError where write_recording would make a second file of the trace."""
    path = folder / f"{name}.npy"
    if others := [other for other in refuse_to_replace(folder, name, made, is_made) if other != path]:
        got, expected = str(others[0]), f"no file but {path}"
        raise OrganizerError("the trace would have a second file", got, expected, "move it away", f"trace {name}")


def write_recording(
    folder: Path,
    name: str,
    hotness: np.ndarray,
    origin: str,
    licence: str,
    more: Mapping[str, Any] | None = None,
) -> Path:
    """Write hotness, int32 [iteration, layer, expert], as .npy in C order, and its manifest entry. Raises OSError.

    more: further keys of the entry: layers, notes, options.

    Raises OrganizerError when the manifest is malformed.
    """
    manifest = read_manifest(folder)
    path = folder / f"{name}.npy"
    values = np.ascontiguousarray(hotness, "<i4")
    write_trace(path, values)
    manifest["traces"][name] = entry_of(f"{name}.npy", values, origin, licence) | dict(more or {})
    write_manifest(folder, manifest)
    return path


def origin_of(source: str, form: str) -> str:
    """The manifest's line about where a trace comes from."""
    return f"{RECORDED} {source}; {form}; {BY}"


def _is_converted(entry: Mapping[str, Any]) -> bool:
    # A sealed trace keeps its origin, but is another file.
    origin = str(entry.get("origin"))
    return origin.startswith(RECORDED) and origin.endswith(BY) and str(entry.get("file")).endswith(".npy")
