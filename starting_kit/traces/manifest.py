"""manifest.yaml: what a folder of traces holds, and where each trace comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from placement.errors import OrganizerError
from placement.trace import trace_sha256
from placement.traces.whole_file import write_whole
from placement.traces.yaml_file import read_yaml

MANIFEST = "manifest.yaml"
# What an entry says of how a trace came about; optional, and no part of the trace's identity.
PROVENANCE = ("origin", "licence", "layers", "notes", "options")


def read_manifest(folder: Path) -> dict[str, Any]:
    """The folder's manifest, `{"traces": {}}` when there is none. Raises OrganizerError when it is malformed."""
    path = folder / MANIFEST
    if not path.exists():
        return {"traces": {}}
    manifest = read_yaml(path, "manifest")
    traces = manifest.get("traces") if isinstance(manifest, dict) else None
    if not isinstance(traces, dict) or not all(isinstance(entry, dict) for entry in traces.values()):
        got = f"{type(traces or manifest).__name__} in {path}"
        expected, next_step = "a mapping `traces:` of entries", "correct it or move it away"
        raise OrganizerError("the manifest has the wrong form", got, expected, next_step, "manifest")
    return manifest


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Replace the folder's manifest.yaml; the order of the keys is kept. Raises OSError."""
    text = yaml.safe_dump(manifest, sort_keys=False, default_flow_style=None, width=1000, allow_unicode=True)
    write_whole(folder / MANIFEST, text.encode("utf-8"))


def entry_of(file: str, values: np.ndarray, origin: str, licence: str) -> dict[str, Any]:
    """What a manifest says of a plain trace; file: from the folder; values: int32 [iteration, layer, expert]."""
    return hashed_entry(file, values.shape, trace_sha256(values), origin, licence)


def hashed_entry(file: str, shape: Sequence[int], sha256: str, origin: str, licence: str) -> dict[str, Any]:
    """As entry_of, of a trace whose hash is known."""
    return {"file": file, "shape": list(shape), "sha256": sha256, "origin": origin, "licence": licence}


def notes_of(entry: Mapping[str, Any]) -> list[str]:
    """The sentences that an entry keeps of what was suspicious, assumed or left out; none where it has no such key.

    Raises OrganizerError where they are no list of texts.
    """
    notes = entry.get("notes", [])
    if not isinstance(notes, list) or not all(isinstance(note, str) for note in notes):
        got, expected = f"notes: {notes!r}"[:80], "a list of sentences"
        raise OrganizerError("the manifest has the wrong form", got, expected, "correct it, or convert again", MANIFEST)
    return notes
