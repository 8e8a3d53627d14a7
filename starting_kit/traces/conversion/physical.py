"""Physical experts: replicas in slots, folded to the logical experts that they are copies of."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from placement.errors import OrganizerError

from .recording import counted

RECORD = "record again, with the fusion of shared experts off"


class Fold(NamedTuple):
    """Where each slot's count goes. flat: int64 [layer * slot] -> layer * experts + logical expert."""

    flat: np.ndarray
    layers: int
    slots: int
    experts: int


def fold_of(
    physical_to_logical: np.ndarray, where: str, key: str = "last_physical_to_logical_map", next_step: str = RECORD
) -> Fold:
    """The fold of a map [layer, slot] -> logical expert.

    key: the map's in the file; next_step: of an error. The number of experts is the largest id + 1. Raises
    OrganizerError for a map that is not of ids below the number of slots, or in which an expert has no slot in a layer.
    """
    place = f"{where}, {key}"
    layers, slots = physical_to_logical.shape
    # More experts than slots would leave one out, and a damaged id must not be a size.
    expected = f"integers in 0 .. {slots - 1}"
    if physical_to_logical.dtype.kind not in "iu":
        got = f"dtype {physical_to_logical.dtype}"
        raise OrganizerError("the map's values are not expert ids", got, expected, next_step, place)
    wrong = (physical_to_logical < 0) | (physical_to_logical >= slots)
    if wrong.any():
        layer, slot = np.argwhere(wrong)[0]
        got = f"{physical_to_logical[layer, slot]} at layer {layer}, slot {slot} (from 0)"
        raise OrganizerError("the map's values are not expert ids", got, expected, next_step, place)
    experts = int(physical_to_logical.max()) + 1
    for layer, row in enumerate(physical_to_logical):
        missing = np.setdiff1d(np.arange(experts), row)
        if len(missing):
            got = f"no slot for expert {missing[0]} in layer {layer} (from 0)"
            expected = f"each of {experts} experts in every layer"
            raise OrganizerError("the map leaves an expert out", got, expected, next_step, place)
    flat = np.arange(layers)[:, None] * experts + physical_to_logical.astype(np.int64)
    return Fold(flat.ravel(), layers, slots, experts)


def to_logical(counts: np.ndarray, fold: Fold) -> np.ndarray:
    """Tokens by logical expert, int64 [layer, expert], of counts [layer, slot] below 2^31."""
    # Weights are float64, exact below 2^53: no sum over a layer's slots comes near that.
    sums = np.bincount(fold.flat, weights=counts.ravel(), minlength=fold.layers * fold.experts)
    return sums.astype(np.int64).reshape(fold.layers, fold.experts)


def slot_counts(ids: np.ndarray, slots: int, where: str) -> np.ndarray:
    """Tokens by slot, int64 [layer, slot], of slot ids [layer, token, choice]; -1 is padding.

    Raises OrganizerError for ids outside -1 .. slots - 1, a slot twice in a token's choices, and tokens that have
    other numbers of choices, all -1 aside.
    """
    what, expected = (
        "topk_ids_of_layer holds ids that are not slots",
        f"integers in -1 .. {slots - 1}: slots, -1 for padding",
    )
    if ids.dtype.kind not in "iu":
        raise _wrong(what, f"dtype {ids.dtype}", expected, where)
    wrong = (ids < -1) | (ids >= slots)
    if wrong.any():
        layer, token, choice = np.argwhere(wrong)[0]
        got = f"{ids[layer, token, choice]} at layer {layer}, token {token}, choice {choice} (from 0)"
        raise _wrong(what, got, expected, where)
    ordered = np.sort(ids, axis=2)
    twice = (ordered[..., 1:] == ordered[..., :-1]) & (ordered[..., 1:] >= 0)
    if twice.any():
        layer, token, choice = np.argwhere(twice)[0]
        got = f"slot {ordered[layer, token, choice]} twice at layer {layer}, token {token} (from 0)"
        raise _wrong("topk_ids_of_layer names a slot twice", got, "different slots for a token", where)
    chosen = (ids >= 0).sum(axis=2)
    other = (chosen > 0) & (chosen < chosen.max(initial=0))
    if other.any():
        layer, token = np.argwhere(other)[0]
        got = f"{counted(int(chosen[layer, token]), 'choice')} at layer {layer}, token {token} (from 0)"
        raise _wrong("a token has another number of choices", got, f"{chosen.max()}, as another token has", where)
    layers = len(ids)
    flat = np.arange(layers)[:, None, None] * slots + ids.astype(np.int64)
    return np.bincount(flat[ids >= 0], minlength=layers * slots).reshape(layers, slots)


def _wrong(what: str, got: str, expected: str, where: str) -> OrganizerError:
    return OrganizerError(what, got, expected, RECORD, where)
