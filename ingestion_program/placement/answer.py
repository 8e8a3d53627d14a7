"""Checks of a policy's answer: shapes, ids, and a slot for every expert in the listed layers."""

from __future__ import annotations

import math

import numpy as np

from .errors import PolicyError
from .grid import Case

Redeployment = tuple[np.ndarray, np.ndarray]


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
    """Raise PolicyError unless every listed layer is in range, is listed once, and has a slot for every expert.

    priority: int64 [n]; table: int64 [layer, device, slot], of which only the listed layers are checked.
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
            "put a logical expert id, counted from 0, into every slot; no slot stays empty",
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
    """The error for an answer that breaks a rule."""
    return PolicyError("invalid_answer", what, got=got, expected=expected, next_step=next_step, where=where)


def _shape_step(shape: tuple[int, ...], expected: tuple[int, int, int]) -> str:
    if sorted(shape) == sorted(expected):
        return "put the axes in this order, as np.transpose(table, axes) does"
    if len(shape) == 2 and shape[0] == expected[0] and shape != expected[1:]:
        full = shape[1] == expected[1] * expected[2]
        wanted = "" if full else f"give every layer {expected[1] * expected[2]} slots, then "
        return (
            f"{wanted}divide this map [layer, slot] (such as phy2log) among the devices: table.reshape(layers, "
            "devices, slots)"
        )
    if len(shape) == 3 and shape[:2] == expected[:2]:
        return f"fill {expected[2]} slots on every device: (experts + redundant experts) / devices"
    if len(shape) == 3 and shape[0] == expected[0]:
        return "take the number of devices from case.devices or n_device; the number differs between cases"
    if math.prod(shape) == math.prod(expected):
        return "give the table these sizes, as table.reshape(layers, devices, slots) does"
    return "return the whole table, with every layer"
