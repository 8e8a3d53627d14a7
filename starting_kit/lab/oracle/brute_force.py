"""Brute force: every table of a tiny grid, for any objective, for example the whole latency of the cost model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations_with_replacement
from math import comb

import numpy as np

from placement.errors import Problem

from .outcome import Outcome

TABLES = 20_000


def number_of_tables(experts: int, devices: int, slots: int, empty: bool = False) -> int:
    """How many tables there are, by inclusion and exclusion over the experts that have no slot. Arguments as tables."""
    ids = experts + empty
    without = (
        comb(experts, missing) * comb(ids - missing + slots - 1, slots) ** devices for missing in range(experts + 1)
    )
    return sum((-1) ** missing * number for missing, number in enumerate(without))


def tables(experts: int, devices: int, slots: int, empty: bool = False) -> Iterator[np.ndarray]:
    """Every table in which each expert has a slot: int64 [device, slot], a device's ids in rising order.

    empty: slots may stay empty (-1); otherwise all are filled.
    """
    rows = list(combinations_with_replacement(range(-empty, experts), slots))

    def rest(chosen: list[tuple[int, ...]], missing: frozenset[int]) -> Iterator[np.ndarray]:
        left = (devices - len(chosen)) * slots
        if len(missing) > left:
            return
        if not left:
            yield np.array(chosen, np.int64)
            return
        for row in rows:
            yield from rest([*chosen, row], missing.difference(row))

    yield from rest([], frozenset(range(experts)))


def least(
    experts: int,
    devices: int,
    slots: int,
    value: Callable[[np.ndarray], float],
    most: int = TABLES,
    empty: bool = False,
) -> Outcome:
    """The first table of the least value. Raises Problem where there are more than `most`, or none."""
    number = number_of_tables(experts, devices, slots, empty)
    if not 1 <= number <= most:
        got = f"{number} tables of {experts} experts on {devices} devices of {slots} slots"
        expected = f"1 to {most}, for example 6 experts on 3 devices of 2 slots"
        raise Problem("brute force cannot try the tables", got, expected, "take other sizes, or another objective")
    values = ((value(table), table) for table in tables(experts, devices, slots, empty))
    objective, table = min(values, key=lambda one: one[0])
    return Outcome(table, float(objective), float(objective), number)
