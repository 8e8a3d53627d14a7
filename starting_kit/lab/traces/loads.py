"""What planners need of a trace: each expert's load in each batch, also where only frequencies are known."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from placement.errors import Problem
from traces.conversion.counts import rectangular
from traces.conversion.dump_files import read_json, read_numpy

from .routing_trace import RoutingTrace

KEYS = ("logical_count", "hotness")
COLUMNS = ("layer", "expert", "count")


@dataclass(frozen=True, eq=False)
class LayerLoads:
    """experts; layers: their numbers; of: a layer's load [batch, expert], by its position; top_k: None if not known."""

    experts: int
    layers: tuple[int, ...]
    of: Callable[[int], np.ndarray]
    top_k: int | None = None


def loads_of(trace: RoutingTrace, tokens_per_batch: int, seed: int | None = None) -> LayerLoads:
    """The loads of a trace's batches; a layer is read when it is asked for."""
    bare = RoutingTrace(trace.experts, trace.layers, trace.choices, trace.requests)

    def of(layer: int) -> np.ndarray:
        return bare.batches(layer, tokens_per_batch, 1, seed).load

    return LayerLoads(trace.experts, trace.layers, of, trace.choices.shape[2])


def loads_in(path: Path) -> LayerLoads:
    """The loads in a file of frequencies, whole or not, without layers that have no token.

    [layer, expert], or [batch, layer, expert] of several workloads or iterations, in an .npy, or in an .npz or .json as
    `logical_count` (as SGLang publishes it) or `hotness`; or a .csv with the columns layer, expert, count. Raises
    Problem.
    """
    if path.suffix == ".csv":
        load, numbers = _of_csv(path)
    else:
        content = _content(path)
        key = next((key for key in KEYS if key in content), None)
        if key is None:
            got, expected = ", ".join(map(str, content)) or "none", f"{' or '.join(KEYS)}, or a trace's folder"
            next_step = "make a trace of requests with `python -m lab import`"
            raise Problem("the file holds no frequencies", got, expected, next_step, str(path))
        load = rectangular(content[key], key, path.name, ("layer", "expert"))
        load = load[None] if load.ndim == 2 else load
        numbers = np.arange(load.shape[1]) if load.ndim == 3 else np.arange(0)
    if load.ndim != 3 or 0 in load.shape or load.dtype.kind not in "iuf":
        got = f"{load.dtype} {list(load.shape)}"
        raise _wrong(
            "the frequencies have another form", got, "numbers [layer, expert] or [batch, layer, expert]", path
        )
    if (wrong := ~(np.isfinite(load) & (load >= 0))).any():
        batch, layer, expert = np.argwhere(wrong)[0]
        got = f"{load[batch, layer, expert]} at layer {numbers[layer]}, expert {expert} (from 0)"
        raise _wrong("a frequency is out of range", got, "numbers from 0", path)
    routed = load.any(axis=(0, 2))
    if not routed.any():
        raise _wrong("no layer routes a token", "zeros", "how many tokens chose each expert", path)
    positions = np.flatnonzero(routed)
    return LayerLoads(load.shape[2], tuple(numbers[routed].tolist()), lambda layer: load[:, positions[layer]])


def _content(path: Path) -> dict[str, Any]:
    """What a file holds by its keys; an .npy has one array, whatever its name."""
    if path.suffix == ".npy":
        return {KEYS[0]: read_numpy(path, allow_pickle=False)[path.stem]}
    if path.suffix == ".npz":
        return read_numpy(path, allow_pickle=False)
    content = read_json(path) if path.suffix == ".json" else None
    return content if isinstance(content, dict) else {path.name: content}


def _of_csv(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with open(path, newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        if missing := set(COLUMNS) - set(rows.fieldnames or ()):
            got = ", ".join(rows.fieldnames or ()) or "none"
            raise _wrong("a column is missing", got, f"the columns {', '.join(sorted(missing))}", path)
        counted: dict[tuple[int, int], float] = {}
        for number, row in enumerate(rows, 2):
            try:
                place, count = (int(row["layer"]), int(row["expert"])), float(row["count"])
                if min(place) < 0:
                    raise ValueError("an id below 0")
            except (TypeError, ValueError) as error:
                raise _wrong(f"line {number} is no count", str(error), "layer, expert, count", path) from None
            if place in counted:
                raise _wrong("an expert is there twice", f"layer {place[0]}, expert {place[1]}", "each once", path)
            counted[place] = count
    if not counted:
        raise _wrong("the file holds no counts", "no line", "a line for each layer and expert", path)
    numbers = np.array(sorted({layer for layer, _ in counted}))
    load = np.zeros((1, len(numbers), max(expert for _, expert in counted) + 1))
    for (layer, expert), count in counted.items():
        load[0, np.searchsorted(numbers, layer), expert] = count
    return load, numbers


def _wrong(what: str, got: str, expected: str, path: Path) -> Problem:
    return Problem(what, got, expected, "export the counts again, or name another file", str(path))
