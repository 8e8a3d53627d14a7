"""Dumps of SGLang's expert distribution recorder: which mode, and the modes stat and stat_approx."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from placement.errors import OrganizerError

from .counts import as_array, ordered_counts
from .dump_files import read_dump
from .inputs import input_files
from .layers import kept_layers, without_dense
from .recording import Recording, counted
from .ring import unroll
from .sglang_passes import RECORDS, read_passes

SUFFIXES = (".pt", ".npz", ".json")


def read_sglang(
    paths: Sequence[Path], oldest: int | None, as_is: bool, skip_incomplete: bool, allow_pickle: bool
) -> Recording:
    """The recording in dump files of one mode, or in folders of them, dense layers left out.

    oldest, as_is: see ring.unroll; skip_incomplete: see Passes.take. Raises OrganizerError.
    """
    files = input_files(paths, SUFFIXES)
    first = read_dump(files[0], allow_pickle)
    if "logical_count" in first:
        if skip_incomplete:
            raise _not_of("stat", "--skip-incomplete")
        recording = _read_stat(files, first, oldest, as_is, allow_pickle)
    elif RECORDS & set(first):
        if as_is or oldest is not None:
            raise _not_of("per_pass and per_token", "--as-is" if as_is else "--oldest")
        recording = read_passes(files, first, skip_incomplete, allow_pickle)
    else:
        raise OrganizerError(
            "the file is no dump of the recorder",
            got=f"keys {', '.join(sorted(map(str, first))) or 'none'}",
            expected=f"logical_count, or one of {', '.join(sorted(RECORDS))}",
            next_step="choose another --from, or dump again",
            where=files[0].name,
        )
    layers = kept_layers(recording.hotness)
    hotness, notes = without_dense(recording.hotness)
    return Recording(hotness, recording.form, [*recording.notes, *notes], layers)


def _read_stat(
    files: list[Path], first: dict[str, Any], oldest: int | None, as_is: bool, allow_pickle: bool
) -> Recording:
    """The rows of each file's ring [row, layer, expert] in order of time, one file after the other."""
    if oldest is not None and len(files) > 1:
        got, expected = f"--oldest {oldest} for {len(files)} files", "one file"
        raise OrganizerError("--oldest is of one buffer", got, expected, "convert the files one by one", "input")
    parts: list[np.ndarray] = []
    notes: list[str] = []
    for index, file in enumerate(files):
        dump = first if index == 0 else read_dump(file, allow_pickle)
        part, note = _rows(dump, file.name, oldest, as_is)
        dump.clear()  # frees the file's array, which the caller holds too
        if parts and part.shape[1:] != parts[0].shape[1:]:
            got = f"[layer, expert] {list(part.shape[1:])}"
            expected = f"{list(parts[0].shape[1:])} as in the file before"
            next_step = "convert one recording at a time"
            raise OrganizerError("the dump has another shape", got, expected, next_step, file.name)
        parts.append(part)
        notes.append(note)
    if len(files) > 1:
        notes.append(f"{counted(len(files), 'file')} in order, {files[0].name} .. {files[-1].name}")
    hotness = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return Recording(hotness, f"SGLang expert distribution, mode stat, {counted(len(files), 'file')}", notes)


def _rows(dump: dict[str, Any], where: str, oldest: int | None, as_is: bool) -> tuple[np.ndarray, str]:
    if "logical_count" not in dump:
        got, expected = f"keys {', '.join(sorted(map(str, dump)))}", "logical_count, as in the file before"
        raise OrganizerError("the dump is of another mode", got, expected, "convert one mode at a time", where)
    value = dump["logical_count"]
    if isinstance(value, np.ndarray) and value.ndim == 2:
        raise OrganizerError(
            "the dump has no iterations",
            got=f"logical_count with shape {list(value.shape)}, a sum over time",
            expected="[row, layer, expert]",
            next_step="record again in mode stat with a buffer; a trace cannot be made from sums",
            where=where,
        )
    ring = as_array(value, "logical_count", where, ("row", "layer", "expert"))
    order, note = unroll(ring.any(axis=(1, 2)), oldest, as_is, where)
    return ordered_counts(ring, order, f"{where}, logical_count", ("row", "layer", "expert")), note


def _not_of(mode: str, option: str) -> OrganizerError:
    got = f"{option} for a dump of mode {mode}"
    return OrganizerError("an option is not of this mode", got, f"no {option}", f"leave {option} out", "input")
