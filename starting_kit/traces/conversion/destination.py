"""Where a converted trace goes: the file, and its entry in the folder's manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from placement.trace import trace_sha256
from placement.traces.files import SUFFIXES

from ..manifest import MANIFEST, TraceError, read_manifest, write_manifest
from ..trace_file import write_trace

RECORDED = "recorded:"
BY = "kit.py convert"


def refuse_to_replace(folder: Path, name: str, replace: bool) -> None:
    """Raise TraceError when a trace of this name, <model>/<dataset>, is there and may not be replaced.

    Only a trace that was converted is replaced, and only when `replace` is set.
    """
    entry = read_manifest(folder)["traces"].get(name)
    file = f"{name}{SUFFIXES[0]}"
    present = [f"{name}{suffix}" for suffix in SUFFIXES if (folder / f"{name}{suffix}").exists()]
    if entry is None and present:
        raise TraceError(f"{folder / present[0]} is not in {MANIFEST} and may be a recording; move it away")
    if entry is not None and not _is_converted(entry, file):
        raise TraceError(f"{name} in {folder} was not converted and is not replaced; choose another --dataset")
    others = [other for other in present if other != file]
    if others:
        raise TraceError(f"{folder / others[0]} would be a second file of the trace {name}; move it away")
    if entry is not None and not replace:
        raise TraceError(f"{name} in {folder} was converted before; give --replace, or choose another --dataset")


def write_recording(folder: Path, name: str, hotness: np.ndarray, origin: str, licence: str) -> Path:
    """Write hotness, int32 [iteration, layer, expert], as .npy in C order, and its manifest entry. Raises OSError.

    Raises TraceError when the manifest is malformed.
    """
    manifest = read_manifest(folder)
    path = folder / f"{name}.npy"
    values = np.ascontiguousarray(hotness, "<i4")
    write_trace(path, values)
    manifest["traces"][name] = {
        "file": f"{name}.npy",
        "shape": list(values.shape),
        "sha256": trace_sha256(values),
        "origin": origin,
        "licence": licence,
    }
    write_manifest(folder, manifest)
    return path


def origin_of(source: str, form: str) -> str:
    """The manifest's line about where a trace comes from."""
    return f"{RECORDED} {source}; {form}; {BY}"


def _is_converted(entry: dict[str, Any], file: str) -> bool:
    # A sealed trace keeps its origin, but is another file.
    origin = str(entry.get("origin"))
    return origin.startswith(RECORDED) and origin.endswith(BY) and entry.get("file") == file
