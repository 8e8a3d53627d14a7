"""A policy's answer: read into integers on the policy's side, checked on the simulator's side."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .errors import PolicyError
from .grid import Case

Redeployment = tuple[np.ndarray, np.ndarray]

INTEGERS = "return a list or an array of integers"
# By numpy's letter for the kind of what was got.
CONVERSIONS = {
    "b": "return numbers instead of True and False; np.flatnonzero(mask) turns a mask into them",
    "f": "make them integers, with .astype(int), and divide with //",
}


def as_integers(value: Any, name: str, shape: str) -> np.ndarray:
    """Read a list or array of integers as int64; `shape` is the shape's description for the message.

    Raises PolicyError (invalid_answer) for booleans, floats, ragged lists and anything else. An empty list is
    an empty array. Values beyond int64 are clipped to it, where they are out of range all the same.
    """
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, OverflowError) as error:
        if isinstance(error, ValueError):
            raise _not_integers(name, "a ragged list", shape, "make every row equally long") from None
        raise _not_integers(name, f"{type(error).__name__}: {error}", shape) from None
    if array.size == 0 and array.ndim == 1:
        return np.empty(0, np.int64)
    if array.dtype.kind not in "iu":
        kind = "None" if value is None else type(value).__name__
        got = f"{kind} of dtype {array.dtype}" if array.ndim else kind
        raise _not_integers(name, got, shape, CONVERSIONS.get(array.dtype.kind, INTEGERS))
    if _holds_boolean(value):
        raise _not_integers(name, "a list that holds a boolean", shape, CONVERSIONS["b"])
    if array.dtype == np.uint64:
        array = np.minimum(array, np.uint64(2**63 - 1))
    return array.astype(np.int64)


def check_shapes(priority_length: int, table_shape: tuple[int, ...], case: Case) -> None:
    """Raise PolicyError unless the answer has at most L layers and a table [layer, device, slot]."""
    if priority_length > case.layers:
        raise invalid(
            "layers_priority lists too many layers",
            str(priority_length),
            f"at most {case.layers}, each layer once",
            "list each layer to redeploy once",
        )
    expected = (case.layers, case.devices, case.slots)
    if tuple(table_shape) != expected:
        raise invalid(
            "deployment_table has the wrong shape",
            str(list(table_shape)),
            f"{list(expected)} [layer, device, slot]",
            _shape_step(tuple(table_shape), expected),
        )


def check_answer(priority: np.ndarray, table: np.ndarray, case: Case) -> None:
    """Raise PolicyError unless every listed layer is in range, listed once, and covers all experts.

    priority: int64 [n]; table: int64 [layer, device, slot], of which only the listed layers are looked at.
    """
    check_shapes(len(priority), table.shape, case)
    outside = (priority < 0) | (priority >= case.layers)
    if outside.any():
        raise invalid(
            "layers_priority names a layer that does not exist",
            str(priority[outside][0]),
            f"0 .. {case.layers - 1}",
            "list layers by their index in the deployment table, counted from 0",
        )
    times = np.bincount(priority, minlength=case.layers)
    if times.max() > 1:
        layer = int(times.argmax())
        raise invalid(
            "layers_priority lists a layer twice",
            f"layer {layer} {times[layer]} times",
            "each layer at most once",
            "remove the repeated layer",
        )
    rows = table[priority]
    outside = (rows < 0) | (rows >= case.experts)
    if outside.any():
        index, device, slot = np.argwhere(outside)[0]
        raise invalid(
            "an expert id is out of range",
            f"{rows[index, device, slot]} on device {device}, slot {slot}",
            f"0 .. {case.experts - 1}",
            "put a logical expert id, counted from 0, in every slot; none stays empty",
            f"layer {priority[index]}",
        )
    held = np.zeros((len(priority), case.experts), bool)
    np.put_along_axis(held, rows.reshape(len(priority), -1), True, axis=1)
    if not held.all():
        index, expert = np.argwhere(~held)[0]
        missing = int(case.experts - held[index].sum())
        raise invalid(
            "an expert has no slot",
            f"expert {expert} is missing" + (f" and {missing - 1} more" if missing > 1 else ""),
            f"each of the {case.experts} experts in at least one of {case.devices * case.slots} slots",
            "give every expert a slot, or leave the layer out of layers_priority",
            f"layer {priority[index]}",
        )


def invalid(what: str, got: str, expected: str, next_step: str, where: str = "") -> PolicyError:
    """The error of an answer that breaks a rule."""
    return PolicyError("invalid_answer", what, got=got, expected=expected, next_step=next_step, where=where)


def _shape_step(shape: tuple[int, ...], expected: tuple[int, int, int]) -> str:
    if sorted(shape) == sorted(expected):
        return "put the axes in this order, as np.transpose(table, axes) does"
    if math.prod(shape) == math.prod(expected):
        return "give it these sizes, as table.reshape(layers, devices, slots) does"
    if len(shape) == 3 and shape[:2] == expected[:2]:
        return f"fill {expected[2]} slots on every device: (experts + redundant experts) / devices"
    return "return the whole table, every layer of it"


def _not_integers(name: str, got: str, shape: str, next_step: str = INTEGERS) -> PolicyError:
    return invalid(f"{name} is not made of integers", got, f"integers {shape}", next_step)


def _holds_boolean(value: Any) -> bool:
    # numpy turns a boolean inside a list of integers into 0 or 1 without a word.
    if isinstance(value, (list, tuple)):
        return any(map(_holds_boolean, value))
    return isinstance(value, (bool, np.bool_)) or (isinstance(value, np.ndarray) and value.dtype == bool)
