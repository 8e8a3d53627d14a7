"""A trace's file as a job names it: where it lies, what is in it, and where a worker that lacks it keeps a copy."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from placement.errors import OrganizerError
from placement.trace import trace_sha256
from placement.traces.files import find_trace, open_trace
from placement.traces.whole_file import write_whole
from traces.manifest import read_manifest
from traces.plain_trace import PlainTrace

COPY = "trace"


@dataclass(frozen=True)
class TraceFile:
    """`<folder>/<model>/<dataset>.npy` or .npz; shape: iterations, layers, experts; sha256: of the values."""

    folder: Path
    model: str
    dataset: str
    shape: tuple[int, int, int]
    sha256: str

    @property
    def name(self) -> str:
        return f"{self.model}/{self.dataset}"

    @property
    def path(self) -> Path:
        return find_trace(self.folder, self.model, self.dataset)


def trace_file(folder: Path, model: str, dataset: str) -> TraceFile:
    """The trace of this name in a folder; its hash is the manifest's, or else taken. Raises OrganizerError."""
    name = f"trace {model}/{dataset}"
    path = find_trace(folder, model, dataset)
    if path.suffix == ".sealed":
        next_step = "name plain traces: a sweep opens none with a key"
        raise OrganizerError("the trace is sealed", path.name, "a .npy or .npz file", next_step, name)
    shape = PlainTrace(path, name).shape
    digits = read_manifest(folder)["traces"].get(f"{model}/{dataset}", {}).get("sha256")
    if not isinstance(digits, str):
        digits = open_trace(folder, model, dataset, None).sha256
    return TraceFile(folder.resolve(), model, dataset, shape, digits)


def here(trace: TraceFile, content: np.ndarray | None = None) -> Path | None:
    """The file as this machine has it: in its own place, or a copy, which is made of the content; None: neither.

    content: the values as stored. Whoever opens the file holds it against the trace's hash.
    """
    for suffix in (".npy", ".npz"):
        if (path := trace.folder / trace.model / f"{trace.dataset}{suffix}").is_file():
            return path
    path = copies() / trace.sha256 / f"{COPY}.npy"
    if not path.is_file() and content is not None:
        if trace_sha256(content) != trace.sha256:
            return None
        write_whole(path, _npy(content))
    return path if path.is_file() else None


def copies() -> Path:
    """Where this machine keeps copies of traces that it was sent."""
    return Path(tempfile.gettempdir()) / f"expert-placement-traces-{os.getuid()}"


def stored_values(trace: TraceFile) -> np.ndarray:
    """The values as stored, to be sent to a worker."""
    loaded = np.load(trace.path, allow_pickle=False)
    return loaded if isinstance(loaded, np.ndarray) else loaded[loaded.files[0]]


def _npy(values: np.ndarray) -> bytes:
    import io

    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=False)
    return buffer.getvalue()
