"""Counts of prefill passes as ATOM writes them: uint16 in one file, their places in JSON lines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from placement.errors import OrganizerError

from .inputs import input_files
from .json_lines import objects_in
from .recording import Recording, counted

COUNTS = "moe_counts.uint16.bin"
LINES = ("moe_routes.jsonl", "prefill_forwards.jsonl")
DTYPE = np.dtype("<u2")
WRAP = 1 << 16
NUMBER = re.compile(r"(?:^|\.)layers?[._](\d+)(?:\.|$)")


def read_atom(paths: Sequence[Path]) -> Recording:
    """The counts of the forward passes that the lines name, in order of the lines. Raises OrganizerError."""
    names = [file for path in paths for file in (sorted(path.glob("*.jsonl")) if path.is_dir() else [path])]
    lines = [file for file in input_files(names or paths, (".jsonl",)) if file.name in LINES]
    if len(lines) != 1:
        got = ", ".join(file.name for file in lines) or "none of them"
        raise _wrong("the passes are not in one file", got, " or ".join(LINES), paths[0].name)
    data = lines[0].with_name(COUNTS)
    if not data.is_file():
        raise _wrong("there are no counts beside the lines", f"no {COUNTS}", f"{COUNTS} of the same run", lines[0].name)
    values = np.fromfile(data, DTYPE)
    passes, without = [], 0
    # Where each pass begins and ends in the counts, and the line that says so.
    places: list[tuple[int, int, str]] = []
    shape: list[int] | None = None
    layers: tuple[int, ...] | None = None
    for fields, where in objects_in(lines[0]):
        if "moe_counts" not in fields:
            continue
        if fields["moe_counts"] is None:
            without += 1
            continue
        form, offset = _place(fields["moe_counts"], where)
        shape = shape or form
        if form != shape:
            raise _wrong("a pass has another shape", f"[layer, expert] {form}", f"{shape}, as before", where)
        size = form[0] * form[1]
        if offset % DTYPE.itemsize or offset // DTYPE.itemsize + size > len(values):
            got, expected = f"{size} counts from byte {offset}", f"within the {values.nbytes} bytes of {COUNTS}"
            raise _wrong("a pass lies outside the counts", got, expected, where)
        places.append((offset, offset + size * DTYPE.itemsize, where))
        counts = values[offset // DTYPE.itemsize :][:size].reshape(form)
        _refuse_wrapped(counts, where)
        layers = layers or _layers(fields["moe_counts"])
        passes.append(counts)
    if not passes:
        raise _wrong("no pass has counts", f"{counted(without, 'pass')} without", "a pass with counts", lines[0].name)
    for (_, end, first), (begin, _, where) in pairwise(sorted(places)):
        if begin < end:
            got, expected = f"counts from byte {begin}, as {first} has them, too", "other counts in each line"
            raise _wrong("two passes have the same counts", got, expected, where)
    notes = [f"{counted(len(passes), 'pass')} of prefill in order of {lines[0].name}; decoding is not recorded"]
    if without:
        notes.append(f"{counted(without, 'pass')} without counts left out, which the recorder dropped")
    return Recording(np.array(passes, np.int32), f"{COUNTS}, {counted(1, 'file')}", notes, layers)


def _place(reference: Any, where: str) -> tuple[list[int], int]:
    """Shape [layer, expert] and offset in bytes of a pass's counts."""
    fields = reference if isinstance(reference, dict) else {}
    shape, offset = fields.get("shape"), fields.get("offset_bytes")
    whole = isinstance(shape, list) and len(shape) == 2 and all(type(n) is int and n > 0 for n in shape)
    if not whole or type(offset) is not int or offset < 0 or fields.get("dtype") != "uint16":
        got = ", ".join(f"{key} {fields.get(key)!r}" for key in ("shape", "offset_bytes", "dtype"))
        expected = "shape [layer, expert] of one number of experts, offset_bytes, dtype uint16"
        raise _wrong("moe_counts has the wrong form", got, expected, where)
    return list(shape), offset


def _refuse_wrapped(counts: np.ndarray, where: str) -> None:
    """Refuse counts cut off in uint16: a layer has then a multiple of 65536 fewer choices than another."""
    totals = counts.sum(axis=1, dtype=np.int64)
    less = totals.max() - totals
    wrapped = (less > 0) & (less % WRAP == 0)
    if wrapped.any():
        layer = int(np.argmax(wrapped))
        got = f"{totals[layer]} choices in layer {layer} (from 0), {totals.max()} in another: {less[layer]} less"
        expected = "as many in every layer; a count above 65535 does not fit uint16"
        raise OrganizerError("a count was cut off", got, expected, "record passes of fewer tokens", where)


def _layers(reference: dict[str, Any]) -> tuple[int, ...] | None:
    """The layers' numbers, where their keys tell all of them."""
    keys = [str(layer.get("key")) for layer in reference.get("layers") or [] if isinstance(layer, dict)]
    found = [NUMBER.search(key) for key in keys]
    numbers = tuple(int(match[1]) for match in found if match)
    return numbers if len(numbers) == reference["shape"][0] == len(set(numbers)) else None


def _wrong(what: str, got: str, expected: str, where: str) -> OrganizerError:
    return OrganizerError(what, got, expected, "give the folder of one run, as it was written", where)
