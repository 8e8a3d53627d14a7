"""Counts of tokens: checked whatever they are stored as, and returned as int32."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from placement.errors import OrganizerError
from placement.trace import LARGEST_HOTNESS

AXES = ("iteration", "layer", "expert")
# Iterations checked at a time.
BLOCK = 64


def as_array(value: Any, what: str, where: str, axes: Sequence[str] = AXES) -> np.ndarray:
    """value, an array or nested lists, as an array with these axes, none of length 0.

    what: what the value is called in the file; where: the file, and the place in it. Raises OrganizerError.
    """
    array = rectangular(value, what, where, axes)
    if array.ndim != len(axes) or 0 in array.shape:
        raise _wrong_form(what, f"shape {list(array.shape)}", axes, where)
    return array


def rectangular(value: Any, what: str, where: str, axes: Sequence[str]) -> np.ndarray:
    """value, an array or nested lists, as an array of any shape; axes: those it should have, for the error.

    Raises OrganizerError for lists of different lengths and for objects.
    """
    try:
        array = np.asarray(value)
    except ValueError:
        array = None
    if array is None or array.dtype.kind == "O":
        raise _wrong_form(what, "lists of different lengths, or values that are not numbers", axes, where)
    return array


def as_counts(
    values: np.ndarray,
    where: str,
    axes: Sequence[str] = AXES,
    numbers: np.ndarray | None = None,
    floats: bool = False,
) -> np.ndarray:
    """The same values as integers in 0 .. 2^31 - 1.

    axes: a name for each axis; numbers: what the indices of the first axis are called in the file, when not 0, 1, ...
    floats: take floats that are whole, too, which become int64. Raises OrganizerError for anything else, with the
    first wrong value.
    """
    if values.dtype.kind not in ("iuf" if floats else "iu"):
        raise OrganizerError(
            "the counts are not integers",
            got=f"dtype {values.dtype}",
            expected="an integer dtype, or floats that are all whole" if floats else "an integer dtype",
            next_step="export the counts of tokens, not what was derived from them",
            where=where,
        )
    if values.dtype.kind == "f":
        # In narrower floats the largest count is rounded up, and would let one more pass.
        values = values.astype(np.float64)
    what, wrong = "is out of range", ~((values >= 0) & (values <= LARGEST_HOTNESS))  # so that NaN is wrong too
    if values.dtype.kind == "f" and not wrong.any():
        what, wrong = "is not whole", values != np.floor(values)
    if wrong.any():
        index = tuple(np.argwhere(wrong)[0])
        shown = [index[0] if numbers is None else numbers[index[0]], *index[1:]]
        place = ", ".join(f"{axis} {number}" for axis, number in zip(axes, shown, strict=True))
        raise OrganizerError(
            f"a count {what}",
            got=f"{values[index]} at {place} (from 0)",
            expected=f"a whole number in 0 .. {LARGEST_HOTNESS}",
            next_step="record again, or export the counts of tokens as they were counted",
            where=where,
        )
    return values.astype(np.int64) if values.dtype.kind == "f" else values


def float_note(dtype: np.dtype, largest: int) -> list[str]:
    """The note on counts that were stored as floats, none for integers; largest: of the counts."""
    if dtype.kind != "f":
        return []
    note, exact = f"{dtype} values, all whole, written as integers", 2 ** (np.finfo(dtype).nmant + 1)
    return [note + f"; above {exact} a {dtype} is rounded, and the largest is {largest}" * (largest > exact)]


def ordered_counts(
    values: np.ndarray, order: np.ndarray, where: str, axes: Sequence[str] = AXES, floats: bool = False
) -> np.ndarray:
    """values[order] as int32, checked and copied a block at a time, so that no third copy is held.

    order: indices on the first axis. Raises OrganizerError as as_counts does.
    """
    result = np.empty((len(order), *values.shape[1:]), np.int32)
    for first in range(0, len(order), BLOCK):
        part = order[first : first + BLOCK]
        result[first : first + BLOCK] = as_counts(values[part], where, axes, part, floats)
    return result


def _wrong_form(what: str, got: str, axes: Sequence[str], where: str) -> OrganizerError:
    return OrganizerError(
        f"{what} has the wrong form",
        got=got,
        expected=f"numbers [{', '.join(axes)}]",
        next_step="compare the file with the form in starting_kit/traces/conversion/README.md",
        where=where,
    )
