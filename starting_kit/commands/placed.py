"""A placement file as a policy: applied at the first call, then kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from deployments.fitting import sizes_in_words, table_for
from deployments.forms import read_placement
from deployments.rows import Rows
from placement.errors import Problem
from placement.evaluation.temporary import fresh_folder
from placement.grid import Case
from traces.conversion.recording import ranges

from .model_layers import numbers_of
from .options import UsageError, usage_of
from .selection import short_name

TEMPLATE = '''"""Gives every layer the placement of a file at the first call, and keeps it."""

from pathlib import Path

import numpy as np

SLOTS = np.load(Path(__file__).with_name("placement.npy"), allow_pickle=False)


class Policy:
    """See pages/policy.md for the interface."""

    def __init__(self, case):
        self.table, self.placed = SLOTS.reshape(case.layers, case.devices, case.slots), False

    def rebalance(self, hotness, deployment, iteration):
        if self.placed:
            return None
        self.placed = True
        # A layer that stands already takes an iteration, too.
        return np.flatnonzero((self.table != deployment).any(axis=(1, 2))), self.table
'''


@contextmanager
def placed(
    path: Path, cases: Sequence[Case], all_cases: Sequence[Case], traces: Path, layers: tuple[int, ...] | None
) -> Iterator[Path]:
    """A folder with a policy that gives each case the placement of a file.

    cases: the cases to run; all_cases: the grid's; layers: the value of --layers. Raises UsageError for a file of no
    known form, and for a file that does not fit each of the cases.
    """
    table, left_out = _fitting(path, cases, all_cases, traces, layers)
    if left_out:
        print(f"note: {left_out}")
    print("note: the layers are applied at the first call, in order, and kept; ignore advice on the order of layers")
    with fresh_folder() as folder:
        (folder / "policy.py").write_text(TEMPLATE, encoding="utf-8")
        np.save(folder / "placement.npy", table)
        yield folder


def _fitting(
    path: Path, cases: Sequence[Case], all_cases: Sequence[Case], traces: Path, layers: tuple[int, ...] | None
) -> tuple[np.ndarray, str]:
    """The placement, int64 [layer, slot], the same for all cases, and a note on rows left out. Raises as `placed`
    does.
    """
    if not path.is_file():
        raise UsageError(
            "the placement file is missing",
            str(path),
            "a file that kit.py export wrote, or an engine's file",
            "name a file",
        )
    try:
        rows = read_placement(path)
    except Problem as problem:
        raise usage_of(problem) from None
    tables: dict[Case, np.ndarray] = {}
    why: dict[Case, Problem] = {}
    for case in all_cases:
        try:
            tables[case] = table_for(rows, case, numbers_of(case, traces, layers))
        except Problem as problem:
            why[case] = problem
    if not tables and len(cases) == 1:
        raise usage_of(why[cases[0]])
    if not tables:
        next_step = "name such a grid with --grid, or name one case with --case to see why it does not fit"
        got = f"{path.name}: {sizes_in_words(rows)}"
        raise UsageError("the placement fits no case of the grid", got, "a case of these sizes", next_step)
    # A map that all layers share fits models of several depths, and a table is one policy's.
    alike = {case: tables[case].reshape(case.layers, -1) for case in tables}
    first = next((case for case in cases if case in alike), next(iter(alike)))
    fits = [case for case in alike if np.array_equal(alike[case], alike[first])]
    if any(case not in fits for case in cases):
        other = next(case for case in cases if case not in fits)
        got = f"{other.name} takes other rows of the file than {first.name}"
        if other in why:
            got = f"{why[other].got}; {other.name} takes {why[other].expected}"
        choice = " ".join(f"--case {short_name(case)}" for case in fits)
        what = f"the placement fits {len(fits)} of the grid's {len(all_cases)} cases, but not {other.name}"
        raise UsageError(what, got, f"a case of {sizes_in_words(rows)}", f"give {choice}")
    return alike[first], _left_out(rows, first, numbers_of(first, traces, layers))


def _left_out(rows: Rows, case: Case, numbers: tuple[int, ...] | None) -> str:
    """A note on the rows of a file that are no layers of the case; numbers: the model's layer numbers."""
    if numbers is None or rows.layers is None or len(rows.layers) == case.layers:
        return ""
    others = ranges(sorted(set(rows.layers) - set(numbers)))
    return (
        f"{rows.where} has {len(rows.layers)} rows; the rows of layers {others} belong to no layer of the case "
        "and are left out"
    )
