"""Tables of counts as text: CSV with the columns iteration, layer, expert and count, a row for each count."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from placement.errors import OrganizerError
from placement.trace import LARGEST_HOTNESS

from .inputs import one_file
from .recording import Recording, counted
from .text_table import whole_table

COLUMNS = {
    "iteration": ("iteration", "iter", "step", "forward_pass_id"),
    "layer": ("layer", "layer_id"),
    "expert": ("expert", "expert_id"),
    "count": ("count", "tokens", "load"),
}
# Gaps of so many recordings are no passes that were left out, but a damaged number.
FAR = 4
# More would be no model's, and a damaged number must not be a size.
MOST = {"layer": 4096, "expert": 65536}


def read_table(paths: Sequence[Path], experts: int | None) -> Recording:
    """The counts of a CSV file; what has no row counts zero.

    experts: of the model, by default the largest number + 1. Raises OrganizerError.
    """
    path = one_file(paths, (".csv",))
    values, notes = _values(path)
    numbers = dict(zip(COLUMNS, values.T, strict=True))
    for column, most in [*MOST.items(), ("iteration", np.iinfo(np.int64).max), ("count", LARGEST_HOTNESS + 1)]:
        wrong = (numbers[column] < 0) | (numbers[column] >= most)
        if wrong.any():
            row = int(np.argmax(wrong))
            got, expected = f"{numbers[column][row]} in data row {row} (from 0)", f"0 .. {most - 1}"
            raise _wrong(f"{column} is out of range", got, expected, path)
    if experts is None:
        experts = int(numbers["expert"].max()) + 1
        notes.append(f"{experts} experts, as the largest number says; --experts N states another number")
    elif numbers["expert"].max() >= experts:
        got, expected = f"expert {numbers['expert'].max()}", f"0 .. {experts - 1}"
        raise _wrong("expert is out of range", got, expected, path)
    steps, row_of = np.unique(numbers["iteration"], return_inverse=True)
    apart = np.diff(steps)
    # The common distance: a logger may write every tenth iteration.
    stride = int(np.sort(apart)[(len(apart) - 1) // 2]) if len(apart) else 1
    if len(apart) > 1 and apart.max() > FAR * stride * len(steps):
        far = int(np.argmax(apart))
        got = f"iterations {steps[far]} and {steps[far + 1]} with none between, of {len(steps)}"
        raise _wrong("an iteration lies far from the others", got, f"numbers {stride} apart, or a few left out", path)
    layers, layer_of = np.unique(numbers["layer"], return_inverse=True)
    flat = (row_of.ravel() * len(layers) + layer_of.ravel()) * experts + numbers["expert"]
    ordered = np.sort(flat)
    if (twice := ordered[1:][ordered[1:] == ordered[:-1]]).size:
        first, second = np.flatnonzero(flat == twice[0])[:2]
        got = f"data rows {first} and {second} (from 0) for {_place(numbers, first)}"
        raise _wrong("a count is there twice", got, "each count once", path)
    hotness = np.zeros((len(steps), len(layers), experts), np.int32)
    hotness.reshape(-1)[flat] = numbers["count"]
    notes.insert(0, f"iteration {steps[0]} .. {steps[-1]} in order, {counted(len(steps), 'iteration')} with a row")
    if (missing := int((apart // stride - 1).sum())) > 0:
        after = steps[int(np.argmax(apart > stride))]
        told = f"{counted(missing, 'iteration')} between others without a row, the first behind iteration {after}: left"
        notes.append(f"{told} out; where such a pass was empty, give it a row of zero")
    if len(flat) < hotness.size:
        notes.append(f"{hotness.size - len(flat)} of {hotness.size} counts have no row and are zero")
    return Recording(hotness, f"CSV of counts, {counted(1, 'file')}", notes, tuple(layers.tolist()))


def is_table(first_line: str) -> bool:
    """Whether a file's first line names the columns."""
    return len(_found(first_line)) == len(COLUMNS)


def _values(path: Path) -> tuple[np.ndarray, list[str]]:
    """int64 [row, 4], in order of COLUMNS, and notes."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            header = file.readline()
        found = _found(header)
        if len(found) < len(COLUMNS):
            missing = next(column for column in COLUMNS if column not in found)
            got, expected = header.strip()[:80] or "an empty line", f"a first line with {', '.join(COLUMNS)}"
            raise _wrong(f"the table has no column {missing}", got, expected, path)
        columns = [found[column] for column in COLUMNS]
        values, notes = whole_table(path, delimiter=",", skiprows=1, usecols=columns)
    except ValueError as error:
        raise _wrong("the table has the wrong form", str(error), "whole numbers", path) from error
    if not len(values):
        raise _wrong("the table is empty", "no row", "a row for each count", path)
    return values, notes


def _found(header: str) -> dict[str, int]:
    names = [name.strip().strip('"').lower() for name in header.split(",")]
    return {
        column: next(names.index(other) for other in others if other in names)
        for column, others in COLUMNS.items()
        if set(others) & set(names)
    }


def _place(numbers: dict[str, np.ndarray], row: int) -> str:
    return ", ".join(f"{column} {numbers[column][row]}" for column in ("iteration", "layer", "expert"))


def _wrong(what: str, got: str, expected: str, path: Path) -> OrganizerError:
    return OrganizerError(what, got, expected, "correct the file, or export it again", path.name)
