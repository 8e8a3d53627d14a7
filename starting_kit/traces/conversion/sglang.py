"""Dumps of SGLang's expert distribution recorder: which mode it was, and what all modes have in common."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from placement.errors import OrganizerError

from .dump_files import read_dump
from .inputs import input_files
from .layers import kept_layers, without_dense
from .recording import Recording
from .sglang_passes import RECORDS, read_passes
from .sglang_stat import read_stat

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
        recording = read_stat(files, first, oldest, as_is, allow_pickle)
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


def _not_of(mode: str, option: str) -> OrganizerError:
    got = f"{option} for a dump of mode {mode}"
    return OrganizerError("an option is not of this mode", got, f"no {option}", f"leave {option} out", "input")
