"""Dumps of SGLang's expert distribution recorder in the modes stat and stat_approx: ring buffers of sums over ranks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from placement.errors import OrganizerError

from .counts import as_array, as_counts, float_note, ordered_counts
from .dump_files import read_dump
from .recording import Recording, counted
from .ring import unroll

AXES = ("row", "layer", "expert")
# The end of a name in which a rank stands behind the time.
RANK = re.compile(r"_\d+\.\d+_(\d+)$")


class Dump(NamedTuple):
    """A file's rows in order of time, int32 [row, layer, expert]; the rank that wrote it, None where nobody tells."""

    rows: np.ndarray
    rank: int | None
    file: str


def read_stat(
    files: list[Path], first: dict[str, Any], oldest: int | None, as_is: bool, allow_pickle: bool
) -> Recording:
    """The rows of each file's ring in order of time, one file after the other; first: the content of files[0].

    Files of disjoint layers are stages of a pipeline, and joined. Raises OrganizerError, also for files of several
    ranks that are not the same: SGLang adds up all ranks before rank 0 writes.
    """
    parts: list[Dump] = []
    notes: list[str] = []
    alike: dict[str, list[str]] = {}
    for index, file in enumerate(files):
        content = first if index == 0 else read_dump(file, allow_pickle)
        dump, told = _dump(content, file, oldest, as_is)
        content.clear()  # frees the file's array, which the caller holds too
        notes += [note for note in told if note not in notes]
        if parts and dump.rows.shape[1:] != parts[0].rows.shape[1:]:
            got = f"[layer, expert] {list(dump.rows.shape[1:])}"
            expected = f"{list(parts[0].rows.shape[1:])} as in the file before"
            next_step = "convert one recording at a time"
            raise OrganizerError("the dump has another shape", got, expected, next_step, file.name)
        if parts and (told := _joined(parts, dump)):
            alike.setdefault(told.partition(":")[2], []).append(told)
        else:
            parts.append(dump)
    for first, *others in alike.values():
        notes.append(first + (f"; {counted(len(others), 'further file')} likewise" if others else ""))
    if oldest is not None and len(parts) > 1:
        got, expected = f"--oldest {oldest} for {len(parts)} files", "one file"
        raise OrganizerError("--oldest is of one buffer", got, expected, "convert the files one by one", "input")
    if len(files) > 1:
        notes.append(f"{counted(len(files), 'file')} in order, {files[0].name} .. {files[-1].name}")
    hotness = parts[0].rows if len(parts) == 1 else np.concatenate([part.rows for part in parts])
    return Recording(hotness, f"SGLang expert distribution, mode stat, {counted(len(files), 'file')}", notes)


def _joined(parts: list[Dump], dump: Dump) -> str | None:
    """The note on a dump that is of the same rows as the one before, which it is added to; None for later rows."""
    known = parts[-1]
    both = known.rows.any(axis=(0, 2)) & dump.rows.any(axis=(0, 2))
    if not both.any():
        if len(known.rows) != len(dump.rows):
            got, expected = (counted(len(one.rows), "row") for one in (dump, known))
            next_step = "dump all stages at once"
            expected += f" as in {known.file}, which has the other layers"
            raise OrganizerError("the stages of a pipeline do not fit together", got, expected, next_step, dump.file)
        parts[-1] = known._replace(rows=known.rows + dump.rows)
        return f"{dump.file} has other layers than {known.file}, as stages of a pipeline have: joined row by row"
    equal = np.array_equal(known.rows, dump.rows)
    if None in (known.rank, dump.rank) or known.rank == dump.rank:
        if not equal:
            return None
        got, expected = f"the rows of {known.file} again", "each dump once"
        raise OrganizerError("a dump is there twice", got, expected, "leave one of the two out", dump.file)
    if equal:
        return f"{dump.file} of rank {dump.rank} holds the same as {known.file} of rank {known.rank}: taken once"
    raise OrganizerError(
        "the files are statistics of several ranks",
        got=f"other counts of rank {dump.rank} than in {known.file} of rank {known.rank}",
        expected="rank 0's file alone, for which SGLang adds up all ranks",
        next_step=f"give rank 0's file alone if its counts are of all ranks; if each file has its rank's own, add up"
        f" their arrays [{', '.join(AXES)}] and convert the sum with --from npy",
        where=dump.file,
    )


def _dump(content: dict[str, Any], file: Path, oldest: int | None, as_is: bool) -> tuple[Dump, list[str]]:
    if "logical_count" not in content:
        got, expected = f"keys {', '.join(sorted(map(str, content)))}", "logical_count, as in the file before"
        raise OrganizerError("the dump is of another mode", got, expected, "convert one mode at a time", file.name)
    value = content["logical_count"]
    if isinstance(value, np.ndarray) and value.ndim == 2:
        raise OrganizerError(
            "the dump has no iterations",
            got=f"logical_count with shape {list(value.shape)}, a sum over time",
            expected="[row, layer, expert]",
            next_step="record again in mode stat with a buffer; a trace cannot be made from sums",
            where=file.name,
        )
    ring = as_array(value, "logical_count", file.name, AXES)
    # What is no number has no rows that hold a token.
    as_counts(ring[:0], f"{file.name}, logical_count", AXES, floats=True)
    order, note = unroll(ring.any(axis=(1, 2)), oldest, as_is, file.name)
    rows = ordered_counts(ring, order, f"{file.name}, logical_count", AXES, floats=True)
    return Dump(rows, _rank(content, file), file.name), [note, *float_note(ring.dtype, int(rows.max()))]


def _rank(content: dict[str, Any], file: Path) -> int | None:
    rank = np.asarray(content.get("rank"))
    if rank.ndim == 0 and rank.dtype.kind in "iu":
        return int(rank)
    named = RANK.search(file.stem)
    return int(named[1]) if named else None
