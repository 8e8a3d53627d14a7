"""Reads what a policy returned, in either form, into integers, on the policy's side of the boundary."""

from __future__ import annotations

from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any

import numpy as np

from ..answer import Redeployment, invalid
from ..errors import PolicyError

INTEGERS = "return a list or an array of integers"
# By numpy's letter for the kind of what was got.
CONVERSIONS = {
    "b": "return numbers instead of True and False; np.flatnonzero(mask) turns a mask into numbers",
    "f": "make the values integers: .astype(int) converts, // divides into integers",
}
# What a call gives that has not run a line of the function yet: its words, and the next step.
POSTPONED: dict[type, tuple[str, str]] = {
    CoroutineType: ("a coroutine, which async def gives", "write def rebalance, without async and await"),
    GeneratorType: ("a generator, which yield gives", "return the answer instead of yielding it"),
    AsyncGeneratorType: ("an asynchronous generator", "write def rebalance, without async, and return the answer"),
}


def read_function_answer(answer: Any) -> Redeployment | None:
    """Read (change, layers_priority, deployment_table, aux). Raises PolicyError (invalid_answer)."""
    if not isinstance(answer, (tuple, list)) or len(answer) != 4:
        raise _unreadable(
            "rebalance",
            answer,
            "(change, layers_priority, deployment_table, aux)",
            "return all four; to keep the deployment return (False, None, None, None)",
        )
    change, priority, table, _ = answer
    try:
        change = bool(change)
    except ValueError:
        raise invalid(
            "change has no truth value",
            _kind(change),
            "True or False",
            "return one boolean for the whole answer",
        ) from None
    return _read_redeployment(priority, table) if change else None


def read_class_answer(answer: Any) -> Redeployment | None:
    """Read (layers_priority, deployment_table) or None. Raises PolicyError (invalid_answer)."""
    if answer is None:
        return None
    if not isinstance(answer, (tuple, list)) or len(answer) != 2:
        raise _unreadable(
            "Policy.rebalance",
            answer,
            "None, or (layers_priority, deployment_table)",
            "return two values, without change and aux, or None to keep the deployment",
        )
    return _read_redeployment(*answer)


def _read_redeployment(priority: Any, table: Any) -> Redeployment | None:
    if isinstance(priority, range):
        priority = list(priority)
    layers = as_integers(priority, "layers_priority", "[n]")
    if layers.ndim != 1:
        raise invalid(
            "layers_priority has the wrong shape",
            str(list(layers.shape)) if layers.ndim else "one integer",
            "[n], a flat list of layers",
            "return one list of layer indices, before the table",
        )
    if not len(layers):
        return None
    return layers, as_integers(table, "deployment_table", "[layer, device, slot]")


def as_integers(value: Any, name: str, shape: str) -> np.ndarray:
    """Read a list or array of integers as int64; `shape` describes the shape for the message.

    Raises PolicyError (invalid_answer) for booleans, floats, ragged lists and other types. An empty list is an empty
    array. Values beyond int64 are clipped to int64: they stay out of range.
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


def _not_integers(name: str, got: str, shape: str, next_step: str = INTEGERS) -> PolicyError:
    return invalid(f"{name} is not made of integers", got, f"integers {shape}", next_step)


def _holds_boolean(value: Any) -> bool:
    # numpy turns a boolean inside a list of integers into 0 or 1 without a word.
    if isinstance(value, (list, tuple)):
        return any(map(_holds_boolean, value))
    return isinstance(value, (bool, np.bool_)) or (isinstance(value, np.ndarray) and value.dtype == bool)


def _unreadable(function: str, answer: Any, expected: str, next_step: str) -> PolicyError:
    if isinstance(answer, CoroutineType):
        # Else Python warns in the policy's log that nobody awaited, which is no step that helps.
        answer.close()
    _, postponed = POSTPONED.get(type(answer), ("", ""))
    return invalid(f"{function} returned no answer that can be read", _kind(answer), expected, postponed or next_step)


def _kind(value: Any) -> str:
    name = type(value).__name__
    if type(value) in POSTPONED:
        return POSTPONED[type(value)][0]
    if value is None:
        return "None, as a function without return gives"
    return f"{name} of length {len(value)}" if isinstance(value, (tuple, list)) else name
