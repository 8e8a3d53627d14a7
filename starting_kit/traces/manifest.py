"""manifest.yaml: what a folder of traces holds, and where each trace comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from placement.traces.whole_file import write_whole

MANIFEST = "manifest.yaml"


class TraceError(Exception):
    """The command cannot be carried out; the message says why and what to do."""


def read_manifest(folder: Path) -> dict[str, Any]:
    """The folder's manifest, `{"traces": {}}` when there is none. Raises TraceError when it is malformed."""
    path = folder / MANIFEST
    if not path.exists():
        return {"traces": {}}
    try:
        manifest = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise TraceError(f"{path} is not YAML: {error}") from error
    traces = manifest.get("traces") if isinstance(manifest, dict) else None
    if not isinstance(traces, dict) or not all(isinstance(entry, dict) for entry in traces.values()):
        raise TraceError(f"{path} has no mapping `traces:` of entries; correct it or move it away")
    return manifest


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Replace the folder's manifest.yaml; the order of the keys is kept. Raises OSError."""
    text = yaml.safe_dump(manifest, sort_keys=False, default_flow_style=None, width=1000, allow_unicode=True)
    write_whole(folder / MANIFEST, text.encode("utf-8"))
