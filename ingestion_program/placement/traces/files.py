"""Trace files: found by name, read or opened with a key, and compared with the manifest beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..chunked_trace import ChunkedTrace, checked_sha256
from ..errors import OrganizerError
from ..grid import Case
from ..trace import Hotness, Trace, Values, check_fits
from .held import HeldValues, decrypted
from .long_file import WHOLE_BYTES, int32_bytes, long_values
from .par_file import ParFile
from .plain_file import PlainFile
from .sealed import SealedFile
from .yaml_file import read_yaml

SUFFIXES = (".npy", ".npz", ".sealed")


class Traces(Protocol):
    """Where a run's traces come from: a folder, or what draws them; manifest: as manifest.yaml has it, or None."""

    @property
    def manifest(self) -> Mapping[str, Any] | None: ...

    def check(self, model: str, dataset: str) -> None:
        """Raise OrganizerError where there is no such trace."""

    def trace_of(self, case: Case) -> Hotness:
        """Open a case's trace, which has the case's sizes. Raises OrganizerError."""


@dataclass(frozen=True)
class TraceFolder:
    """A folder of traces, the content of its manifest.yaml or None where there is none, and the key of sealed ones.

    whole_bytes: a trace that is larger, as int32, is not held in memory; chunk: how many iterations of it are read at a
    time, by default what ChunkedTrace takes.
    """

    path: Path
    manifest: Mapping[str, Any] | None = None
    key: bytes | None = field(default=None, repr=False)
    whole_bytes: int = WHOLE_BYTES
    chunk: int | None = None

    def check(self, model: str, dataset: str) -> None:
        """Raise OrganizerError where there is no file of a trace."""
        find_trace(self.path, model, dataset)

    def trace_of(self, case: Case) -> Hotness:
        """Open a case's trace, which has the case's sizes, looked at and hashed to its end. Raises OrganizerError."""
        trace = self.open(case.model, case.dataset, case.window)
        check_fits(trace, f"trace {case.model}/{case.dataset}", case.layers, case.experts, case.window)
        return trace

    def open(self, model: str, dataset: str, window: int = 1) -> Hotness:
        """Open a trace; window: how many iterations are going to be asked for together. Raises OrganizerError."""
        path, name, key = find_trace(self.path, model, dataset), f"trace {model}/{dataset}", self.key
        if int32_bytes(path) <= self.whole_bytes:
            return open_trace(self.path, model, dataset, self.manifest, key, narrow=True)
        if path.suffix == ".sealed":
            key = _needed(key, name)
        try:
            values = long_values(path, key, f"{model}/{dataset}")
        except OrganizerError:
            raise
        except Exception as error:
            raise unreadable(path, error, name) from error
        trace = ChunkedTrace(values, checked_sha256(values, name), window, ParFile, self.chunk, name=name)
        if self.manifest is not None:
            _check_manifest(trace, self.manifest, f"{model}/{dataset}", name)
        return trace


def find_trace(folder: Path, model: str, dataset: str) -> Path:
    """The file of a trace, .npy before .npz before .sealed. Raises OrganizerError when there is none."""
    for suffix in SUFFIXES:
        path = folder / model / f"{dataset}{suffix}"
        if path.is_file():
            return path
    raise OrganizerError(
        "the trace is missing",
        got=f"no file {folder / model / dataset}.npy, .npz or .sealed",
        expected="one of the three",
        next_step="put the trace there, or correct --traces",
        where=f"trace {model}/{dataset}",
    )


def open_trace(
    folder: Path,
    model: str,
    dataset: str,
    manifest: Mapping[str, Any] | None,
    key: bytes | None = None,
    narrow: bool = False,
) -> Trace:
    """Read `<folder>/<model>/<dataset>.npy`, `.npz` or `.sealed` and compare it with the manifest's entry.

    manifest: content of manifest.yaml, or None where the folder has none; key: 32 bytes, for a sealed trace; narrow: as
    of Trace. Raises OrganizerError.
    """
    name = f"trace {model}/{dataset}"
    path = find_trace(folder, model, dataset)
    if path.suffix == ".sealed":
        stored: Values = decrypted(SealedFile(path, _needed(key, name), f"{model}/{dataset}"))
    else:
        stored = _read(path, name)
    trace = Trace(stored, name, narrow)
    if manifest is not None:
        _check_manifest(trace, manifest, f"{model}/{dataset}", name)
    return trace


def manifest_beside(traces: Path, notes: list[str]) -> Any:
    """The manifest beside the traces, or None with a note where there is none."""
    path = traces / "manifest.yaml"
    if path.is_file():
        # An empty manifest lists no trace; it must not switch the comparison off.
        return read_yaml(path, "manifest") or {}
    notes.append(f"no manifest.yaml in {traces}: only the reference can tell whether these are the right traces")
    return None


def _read(path: Path, name: str) -> Values:
    try:
        # Mapped: numpy reads the header, and refuses a file that is too short for it.
        stored = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(stored, np.memmap) and stored.dtype == np.dtype("<i4") and stored.flags.c_contiguous:
            return PlainFile(path, stored.offset, stored.shape, name)
        if not isinstance(stored, np.ndarray):
            with stored as archive:
                if len(archive.files) != 1:
                    raise ValueError(f"{len(archive.files)} arrays in the file")
                stored = archive[archive.files[0]]
        if not isinstance(stored, np.ndarray):
            raise ValueError("no array in the file")
        return HeldValues(stored)
    # numpy and zipfile raise nearly anything on a damaged file: TokenError, NotImplementedError, ...
    except Exception as error:
        raise unreadable(path, error, name) from error


def unreadable(path: Path, error: Exception, name: str) -> OrganizerError:
    """The error for a plain file that holds no trace, or is damaged."""
    return OrganizerError(
        "the trace cannot be read",
        got=f"{type(error).__name__}: {error}",
        expected="a complete .npy file, or .npz with one array, without pickles",
        next_step=f"copy {path.name} again and compare it with its manifest",
        where=name,
    )


def _needed(key: bytes | None, name: str) -> bytes:
    if key is None:
        raise OrganizerError(
            "the trace is sealed",
            got="no key",
            expected="the key that it was sealed with",
            next_step="give the key with --key, run a bundle that was built with it, or use the plain trace",
            where=name,
        )
    return key


def _check_manifest(trace: Hotness, manifest: Mapping[str, Any], key: str, name: str) -> None:
    traces = manifest.get("traces") if isinstance(manifest, Mapping) else None
    entry = traces.get(key) if isinstance(traces, Mapping) else None
    if not isinstance(entry, Mapping):
        raise OrganizerError(
            "the manifest does not list the trace",
            got=f"no entry traces: {key}",
            expected="an entry with shape and sha256",
            next_step="add the trace to manifest.yaml",
            where=name,
        )
    shape = [trace.iterations, trace.layers, trace.experts]
    for kind, got in (("shape", shape), ("sha256", trace.sha256)):
        if entry.get(kind) != got:
            raise OrganizerError(
                f"the trace's {kind} is not the manifest's",
                got=str(got),
                expected=str(entry.get(kind)),
                next_step="put the right trace there, or correct manifest.yaml",
                where=name,
            )
