"""A trace's file as a job names it: where it lies, what is in it, and where a worker that lacks it keeps a copy."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from placement.errors import OrganizerError
from placement.trace import start_hash, trace_sha256
from placement.traces.files import find_trace
from traces.manifest import read_manifest
from traces.plain_trace import PlainTrace

COPY = "trace"
# Iterations that are hashed at a time.
BLOCK = 64


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
        """The trace's name, `<model>/<dataset>`."""
        return f"{self.model}/{self.dataset}"

    @property
    def path(self) -> Path:
        """The trace's file. Raises OrganizerError when there is none."""
        return find_trace(self.folder, self.model, self.dataset)


def trace_file(folder: Path, model: str, dataset: str) -> TraceFile:
    """The trace of this name in a folder, hashed as it lies there. Raises OrganizerError, also where its manifest.yaml
    lists another one: what was measured is found again by the hash, and must be that of these values.
    """
    name = f"trace {model}/{dataset}"
    path = find_trace(folder, model, dataset)
    if path.suffix == ".sealed":
        next_step = "name plain traces: a sweep opens none with a key"
        raise OrganizerError("the trace is sealed", path.name, "a .npy or .npz file", next_step, name)
    plain = PlainTrace(path, name)
    digits = _hash(plain)
    listed = read_manifest(folder)["traces"].get(f"{model}/{dataset}", {}).get("sha256", digits)
    if listed != digits:
        next_step = "put the right trace there, or correct manifest.yaml"
        raise OrganizerError("the trace's sha256 is not the manifest's", digits, str(listed), next_step, name)
    return TraceFile(folder.resolve(), model, dataset, plain.shape, digits)


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
        _write_copy(path, content)
    return path if path.is_file() else None


def copies() -> Path:
    """Where this machine keeps copies of traces that it was sent."""
    return Path(tempfile.gettempdir()) / f"expert-placement-traces-{os.getuid()}"


def stored_values(trace: TraceFile) -> np.ndarray:
    """The values as stored, to be sent to a worker."""
    loaded = np.load(trace.path, allow_pickle=False)
    return loaded if isinstance(loaded, np.ndarray) else loaded[loaded.files[0]]


def _hash(plain: PlainTrace) -> str:
    digest = start_hash(plain.shape)
    for block in plain.blocks(BLOCK):
        digest.update(np.ascontiguousarray(block, dtype="<i4"))
    return digest.hexdigest()


def _write_copy(path: Path, values: np.ndarray) -> None:
    """Write a copy whole or not at all, until then under a name of its own: other workers may be writing it, too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=path.parent)
    try:
        with open(handle, "wb") as file:
            np.save(file, values, allow_pickle=False)
        os.replace(partial, path)
    except BaseException:
        os.unlink(partial)
        raise
