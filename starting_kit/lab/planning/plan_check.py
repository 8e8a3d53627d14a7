"""What the arrays of a plan's file must be: refused with the file, the layer, and what was got and expected."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from placement.errors import Problem


def check_plan(arrays: Mapping[str, np.ndarray], path: Path) -> None:
    """Raise Problem unless plan and order [layer, device, slot] fit layers, grid and experts.

    A slot holds a routed expert, the shared one where there is one (the next id), or -1. Every expert has a slot in
    every layer. The filled slots of a layer have different ranks.
    """
    for key in ("experts", "rows", "cols"):
        if arrays[key].ndim or arrays[key].dtype.kind not in "iu" or arrays[key] < 1:
            raise _wrong(f"{key} is no number", _shown(arrays[key]), "one integer from 1", path)
    shared = arrays["shared"]
    if shared.ndim or shared.dtype.kind not in "iub" or shared not in (0, 1):
        raise _wrong("shared is no truth value", _shown(shared), "true or false", path)
    layers = arrays["layers"]
    if layers.ndim != 1 or layers.dtype.kind not in "iu" or not len(layers) or layers.min() < 0:
        raise _wrong("layers has the wrong form", _shown(layers), "numbers of layers from 0", path)
    if len(np.unique(layers)) < len(layers):
        raise _wrong("a layer is there twice", _shown(layers), "each once", path)
    devices = int(arrays["rows"]) * int(arrays["cols"])
    for key in ("plan", "order"):
        values = arrays[key]
        if values.ndim != 3 or values.shape[:2] != (len(layers), devices) or not values.shape[2]:
            got = f"shape {list(values.shape)}"
            raise _wrong(f"{key} does not fit", got, f"[{len(layers)} layers, {devices} devices, slot]", path)
        if values.dtype.kind not in "iu":
            raise _wrong(f"{key} holds no integers", f"dtype {values.dtype}", "integers", path)
    if arrays["order"].shape != arrays["plan"].shape:
        got, expected = (list(arrays[key].shape) for key in ("order", "plan"))
        raise _wrong("order does not fit", f"shape {got}", f"that of plan, {expected}", path)
    largest = int(arrays["experts"]) - 1 + bool(shared)
    for layer, table, order in zip(layers, arrays["plan"], arrays["order"], strict=True):
        if (wrong := (table < -1) | (table > largest)).any():
            device, slot = np.argwhere(wrong)[0]
            got = f"{table[device, slot]} on device {device}, slot {slot} (from 0)"
            raise _wrong("a slot holds no expert", got, f"0 .. {largest}, or -1 for none", path, layer)
        if len(missing := np.setdiff1d(np.arange(largest + 1), table)):
            got, expected = f"none for expert {missing[0]}", f"a slot for each of {largest + 1} experts"
            raise _wrong("an expert has no slot", got, expected, path, layer)
        # Ranks of empty slots say nothing.
        ranks, times = np.unique(order[table >= 0], return_counts=True)
        expected = f"0 .. {order.size - 1}, each once"
        if ranks[0] < 0 or ranks[-1] >= order.size:
            raise _wrong("a rank of order is out of range", f"{ranks[0]} .. {ranks[-1]}", expected, path, layer)
        if (times > 1).any():
            got = f"rank {ranks[np.argmax(times > 1)]} twice"
            raise _wrong("a rank of order is there twice", got, expected, path, layer)


def _shown(values: np.ndarray) -> str:
    return f"{values.dtype} {values.tolist()!r}"[:80]


def _wrong(what: str, got: str, expected: str, path: Path, layer: int | None = None) -> Problem:
    where = str(path) if layer is None else f"{path}, layer {layer}"
    return Problem(what, got, expected, "write the plan again, with `python -m lab plan` or `search`", where)
