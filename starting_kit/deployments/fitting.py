"""Whether a placement file fits a case, and the file's deployment table for the case."""

from __future__ import annotations

import numpy as np

from placement.errors import Problem
from placement.grid import Case

from .rows import Rows


def sizes_in_words(rows: Rows) -> str:
    """The sizes that a case needs for the file to fit, in words."""
    experts, slots = int(rows.slots.max()) + 1, rows.slots.shape[1]
    count = f"{len(rows.slots)} layer{'s' * (len(rows.slots) != 1)}"
    # Where rows have the model's numbers, some may be of dense layers.
    count = count if rows.layers is None else f"at most {count}"
    layers = "any number of layers" if rows.shared else count
    devices = f"on {rows.devices} devices" if rows.devices else f"on a number of devices that divides {slots}"
    return f"{layers}, {experts} experts and {slots - experts} redundant ones {devices}"


def table_for(rows: Rows, case: Case, numbers: tuple[int, ...] | None) -> np.ndarray:
    """The deployment table of a file for a case, int64 [layer, device, slot].

    numbers: the model's layer number of each layer of the case; None where unknown. Raises Problem for a file of
    another case, and for a layer that lacks an expert.
    """
    slots = case.devices * case.slots
    if rows.slots.shape[1] != slots or rows.devices not in (None, case.devices):
        held = f"{rows.slots.shape[1]} slots a layer" + (f" on {rows.devices} devices" if rows.devices else "")
        raise _other(rows, case, held, f"{slots} slots on {case.devices} devices")
    flat = rows.slots[_chosen(rows, case, numbers)]
    for layer, row in enumerate(flat):
        held = np.bincount(row, minlength=case.experts)
        if len(held) > case.experts:
            raise _other(rows, case, f"expert {row.max()} in layer {layer}", f"experts 0 .. {case.experts - 1}")
        if not held.all():
            got = f"no slot with expert {held.argmin()} in layer {layer}"
            raise _other(rows, case, got, f"each of the {case.experts} experts in a slot")
    return np.ascontiguousarray(flat).reshape(case.layers, case.devices, case.slots)


def _chosen(rows: Rows, case: Case, numbers: tuple[int, ...] | None) -> list[int]:
    """The rows of the file that are the case's layers, in order."""
    count = len(rows.slots)
    if rows.shared:
        return [0] * case.layers
    if rows.layers is None or numbers is None:
        if count == case.layers:
            return list(range(count))
        expected = f"{case.layers}, one for each layer of the case"
        next_step = "name a case that the file fits"
        if rows.layers is not None and count > case.layers:
            next_step = f"name the case's layers with --layers, as --layers {count - case.layers}-{count - 1}"
            next_step += " where the model begins with dense layers"
        raise _other(rows, case, f"{count} rows", expected, next_step)
    if missing := sorted(set(numbers) - set(rows.layers)):
        got = f"no row for layer {missing[0]}, rows for {rows.layers[0]} .. {rows.layers[-1]}"
        next_step = f"correct --layers, or give --layers {rows.layers[0]}-{rows.layers[-1]}"
        next_step = next_step if count == case.layers else "correct --layers"
        raise _other(rows, case, got, f"the model's layers {numbers[0]} .. {numbers[-1]}", next_step)
    places = {layer: place for place, layer in enumerate(rows.layers)}
    return [places[number] for number in numbers]


def _other(
    rows: Rows, case: Case, got: str, expected: str, next_step: str = "name a case that the file fits"
) -> Problem:
    return Problem(f"the placement does not fit {case.name}", got, expected, next_step, rows.where)
