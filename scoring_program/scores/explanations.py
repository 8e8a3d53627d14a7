"""Entries of explain.json, one for each case, with every number checked."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .comparison import is_number

LISTED, CALLS = 3, 100
LARGEST_MAP, MOST_DEVICES = 1_000_000, 4096


class Explanation(NamedTuple):
    """The entry of a case in explain.json.

    fixed: how many first iterations are the same for every policy; starts: first iteration of each bin; shifts: how
    far the loads shift at each bin; heat_map: PAR [layer, bin]; windows, redeployment and calls: as in the file, with
    checked numbers; untouched_layers: how many layers were never redeployed.
    """

    fixed: int
    starts: np.ndarray
    shifts: np.ndarray
    heat_map: np.ndarray
    windows: list[dict[str, Any]]
    redeployment: dict[str, Any] | None
    calls: list[dict[str, Any]]
    untouched_layers: int


def read_explanation(entry: Any) -> Explanation:
    """Check a case's entry of explain.json. Raises ValueError for another form."""
    entry = _mapping(entry)
    starts, heat = np.array(entry.get("bin_starts")), np.array(entry.get("heat_map"))
    if starts.dtype.kind != "i" or starts.ndim != 1 or not starts.size or (np.diff(starts) <= 0).any():
        raise ValueError("bin_starts are not rising integers")
    if heat.dtype.kind not in "if" or heat.ndim != 2 or heat.shape[1] != len(starts) or not heat.size:
        raise ValueError("heat_map is not an array [layer, bin]")
    if heat.size > LARGEST_MAP or not np.isfinite(heat).all():
        raise ValueError("heat_map is too large or not finite")
    counts = _numbers(entry, fixed_iterations=0, untouched_layers=0)
    shifts = np.array(entry.get("shifts"))
    if shifts.dtype.kind not in "if" or shifts.shape != starts.shape or not np.isfinite(shifts).all():
        raise ValueError("shifts are not one number for each bin")
    windows = [_window(window) for window in _items(entry.get("costliest_windows"))]
    redeployment = _redeployment(entry.get("largest_redeployment"))
    calls = [_call(call) for call in _items(entry.get("calls"), CALLS)]
    return Explanation(
        counts["fixed_iterations"],
        starts,
        shifts,
        heat.astype(np.float64),
        windows,
        redeployment,
        calls,
        counts["untouched_layers"],
    )


def _window(window: Any) -> dict[str, Any]:
    window = _numbers(window, "mean_par", first_iteration=1, last_iteration=1)
    if window["first_iteration"] > window["last_iteration"]:
        raise ValueError("a window ends before it begins")
    layers = []
    for layer in _items(window.get("layers")):
        layer = _numbers(layer, "mean_par", "par", "device_load", "mean_load", layer=0, iteration=1, device=0)
        experts = [_numbers(expert, expert=0, hotness=0, replicas=0) for expert in _items(layer.get("experts"))]
        layers.append(layer | {"experts": experts})
    return window | {"layers": layers}


def _redeployment(entry: Any) -> dict[str, Any] | None:
    if entry is None:
        return None
    entry = _numbers(entry, call=1, first_iteration=1, last_iteration=1, changed=0, layer=0)
    for name in ("loads_before", "loads_after"):
        loads = entry.get(name)
        if not isinstance(loads, list) or len(loads) > MOST_DEVICES or not all(is_number(load) for load in loads):
            raise ValueError(f"{name} are not device loads")
    return entry


def _call(entry: Any) -> dict[str, Any]:
    counts = {"listed": 0, "applied": 0, "changed": 0, "repeating_devices": 0}
    call = _numbers(entry, "par_before", iteration=1, **counts)
    if call.get("par_after") is not None:
        _numbers(entry, "par_after")
    return call


def _numbers(entry: Any, *fields: str, **integers: int) -> dict[str, Any]:
    """An object with finite numbers (fields) and with integers of at least a minimum."""
    entry = _mapping(entry)
    right = all(is_number(entry.get(name)) for name in fields)
    if not right or not all(is_number(entry.get(name), int, least) for name, least in integers.items()):
        raise ValueError(f"one of {', '.join((*fields, *integers))} is not a valid number")
    return entry


def _mapping(entry: Any) -> dict[str, Any]:
    if not isinstance(entry, dict):
        raise ValueError("an object is missing")
    return entry


def _items(entries: Any, most: int = LISTED) -> list[Any]:
    if not isinstance(entries, list):
        raise ValueError("a list is missing")
    return entries[:most]
