"""Expert load of vLLM: snapshots of its load balancer, in slots, each with a map to the experts.

vLLM writes no such file of its own. This is the form of its published load balancer benchmarks: an object with
`snapshots`, or a line for each of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from placement.errors import OrganizerError

from .counts import as_array, as_counts, float_note
from .dump_files import key_of, read_json
from .inputs import one_file
from .json_lines import objects_in
from .layers import kept_layers, without_dense
from .physical import fold_of, to_logical
from .recording import Recording, counted

SNAPSHOTS, STEP, MAP = "snapshots", "step", "physical_to_logical_map"
WINDOW, LATEST = "window_expert_load", "latest_expert_load"
AXES = ("layer", "slot")
# What the file says of the model, and of the axis that it is the length of.
LENGTHS = {"num_moe_layers": 0, "num_physical_experts": 1}
COMPARE = "compare the file with the form in starting_kit/traces/conversion/README.md"


class Snapshot(NamedTuple):
    """A step's number, None where it has none; its load by slot, and the slots' experts, both [layer, slot]."""

    step: int | None
    load: np.ndarray
    experts: np.ndarray
    where: str


def read_vllm_load(paths: Sequence[Path], latest: bool, map_before: bool) -> Recording:
    """An iteration for each snapshot, its slots folded to experts.

    latest: the load of a snapshot's last step, in the place of its window's; map_before: fold with the map of the
    snapshot before, and leave the first one out. Raises OrganizerError.
    """
    path = one_file(paths, (".json", ".jsonl"))
    head, entries = _content(path)
    key = LATEST if latest or not any(WINDOW in entry for entry in entries) else WINDOW
    notes: list[str] = []
    found = [_snapshot(entry, key, f"{path.name}, {SNAPSHOTS}[{n}]", notes) for n, entry in enumerate(entries)]
    _check_alike(found, head, path.name)
    maps = [snapshot.experts for snapshot in found]
    if map_before:
        notes.append(f"--map-before: folded with the map of the snapshot before; the first of {len(found)} left out")
        found, maps = found[1:], maps[:-1]
    else:
        notes += _about_maps(found)
    hotness = []
    for snapshot, experts in zip(found, maps, strict=True):
        fold = fold_of(experts, snapshot.where, MAP, COMPARE)
        stated = head.get("num_logical_experts", fold.experts)
        if fold.experts != stated:
            got, expected = f"{fold.experts} experts", f"{stated}, as num_logical_experts says"
            raise OrganizerError("the map does not fit the model", got, expected, COMPARE, snapshot.where)
        # Loads of replicas may add up to more than one of them may be.
        hotness.append(as_counts(to_logical(snapshot.load, fold), snapshot.where, ("layer", "expert")))
    if not hotness:
        raise OrganizerError("there is no snapshot to fold", "one, left out", "two or more", "record more", path.name)
    kept = np.array(hotness, np.int32)
    layers = kept_layers(kept)
    kept, dropped = without_dense(kept)
    if key == WINDOW:
        notes += _about_windows([snapshot.step for snapshot in found], head.get("window_size"))
    form = f"vLLM expert load, {counted(len(kept), 'snapshot')}, {key}"
    return Recording(kept, form, [*notes, *dropped], layers if dropped else None)


def _content(path: Path) -> tuple[Mapping[str, Any], list[dict[str, Any]]]:
    """What the file says of the model, and its snapshots. Raises OrganizerError where there is none."""
    head: dict[str, Any] = {}
    if path.suffix == ".jsonl":
        entries = []
        for entry, _ in objects_in(path):
            is_head = not {WINDOW, LATEST} & set(entry)
            head |= entry if is_head else {}
            entries += [] if is_head else [entry]
    else:
        content = read_json(path)
        if isinstance(content, dict):
            head = content
        entries = content if isinstance(content, list) else key_of(head, SNAPSHOTS, path.name)
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        got = "no snapshot" if isinstance(entries, list) and not entries else "other values"
        raise OrganizerError(f"{SNAPSHOTS} has the wrong form", got, "a list of objects", COMPARE, path.name)
    return head, entries


def _snapshot(entry: dict[str, Any], key: str, where: str, notes: list[str]) -> Snapshot:
    load = as_array(key_of(entry, key, where), key, where, AXES)
    stored = load.dtype
    load = as_counts(load, f"{where}, {key}", AXES, floats=True)
    notes += [note for note in float_note(stored, int(load.max())) if note not in notes]
    experts = as_array(key_of(entry, MAP, where), MAP, where, AXES)
    if load.shape != experts.shape:
        got, expected = (f"[layer, slot] {list(part.shape)}" for part in (load, experts))
        raise OrganizerError(f"{key} does not fit {MAP}", got, expected, COMPARE, where)
    step = entry.get(STEP)
    return Snapshot(step if type(step) is int else None, load, experts, where)


def _check_alike(found: Sequence[Snapshot], head: Mapping[str, Any], where: str) -> None:
    """Raise OrganizerError for snapshots of different models, another model than stated, or out of order."""
    shape = found[0].load.shape
    for snapshot in found:
        if snapshot.load.shape != shape:
            got, expected = f"[layer, slot] {list(snapshot.load.shape)}", f"{list(shape)} as in the first"
            raise OrganizerError("the snapshot is of another model", got, expected, COMPARE, snapshot.where)
    for key, axis in LENGTHS.items():
        if head.get(key, shape[axis]) != shape[axis]:
            got, expected = f"{shape[axis]} in the snapshots", f"{head[key]}, as {key} says"
            raise OrganizerError("the snapshots do not fit the model", got, expected, COMPARE, where)
    for before, after in pairwise(found):
        if None not in (before.step, after.step) and after.step <= before.step:
            got, expected = f"step {after.step} behind step {before.step}", "ascending steps"
            next_step = "convert each run by itself"
            raise OrganizerError("the snapshots are not in order", got, expected, next_step, after.where)


def _about_windows(steps: Sequence[int | None], window: Any) -> list[str]:
    """How far apart snapshots are beside their windows' length."""
    if len(steps) < 2 or None in steps or type(window) is not int:
        return []
    apart = np.diff(np.array(steps))
    if apart.min() < window:
        return [
            f"windows of {window} steps, as little as {apart.min()} steps apart: a token is counted in up to"
            f" {-(-window // int(apart.min()))} snapshots; --latest takes the last step of each alone"
        ]
    if apart.max() > window:
        return [f"windows of {window} steps, up to {apart.max()} steps apart: what lies between is not counted"]
    return []


def _about_maps(found: Sequence[Snapshot]) -> list[str]:
    """Where experts moved: which map the loads are of, seen from replicas, among which vLLM spreads tokens evenly."""
    moved = [n for n in range(1, len(found)) if not np.array_equal(found[n].experts, found[n - 1].experts)]
    if not moved:
        return []
    own = _unevenness([(found[n].load, found[n].experts) for n in moved])
    before = _unevenness([(found[n].load, found[n - 1].experts) for n in moved])
    told = (
        f"experts moved before {counted(len(moved), 'snapshot')} of {len(found)}, the first {moved[0]} (from 0); each"
        " is folded with its own map, in which loads of replicas differ from their mean by"
        f" {own:.0%}, with the map before by {before:.0%}"
    )
    if before < own:
        told += ": the loads seem to be of the map before, as where a snapshot is written after the move; --map-before"
        told += " folds with that one"
    return [told]


def _unevenness(parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    """Mean distance of the loads of an expert's replicas from their mean, as a part of it; pairs [layer, slot]."""
    distance = total = 0.0
    for load, experts in parts:
        for loads, ids in zip(load.astype(np.float64), experts, strict=True):
            _, index, slots = np.unique(ids, return_inverse=True, return_counts=True)
            means = np.bincount(index, weights=loads)[index] / slots[index]
            several = slots[index] > 1
            distance += float(np.abs(loads - means)[several].sum())
            total += float(loads[several].sum())
    return distance / total if total else 0.0
