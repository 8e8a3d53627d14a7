"""Many requests in one file of plain arrays, .npz, in one of three forms; a request's tokens lie one after another:

    topk [token, layer, k], length [request], category [request]    the categories are the labels, and may be missing
    LABEL [token, layer, k], LABEL_len [request]                    for each label
    experts, layers, choices [layer, token, k], requests [token]    as earlier versions of `python -m lab` wrote them

Where a form has no labels, each request is its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from placement.errors import OrganizerError

from .routed_tokens import RoutedTokens, Stated, request_of

FORMS = "topk and length; LABEL and LABEL_len; or experts, choices and requests"
TOPK, LAB = {"topk", "length"}, {"experts", "choices", "requests"}


class Stacked(NamedTuple):
    """experts: how many there are, None where the file does not tell; choices: [token, layer, k], any values; lengths:

    integers [request], of as many tokens; labels: one for each request; layers: their numbers, where the file tells.
    """

    experts: int | None
    choices: np.ndarray
    lengths: np.ndarray
    labels: list[str | int]
    layers: tuple[int, ...] | None = None


def is_stacked(names: Collection[str]) -> bool:
    """Whether a file with arrays of these names has one of the forms."""
    return set(names) >= TOPK or set(names) >= LAB or any(f"{name}_len" in names for name in names)


def stacked_of(arrays: Mapping[str, np.ndarray], where: str) -> Stacked:
    """The requests of a file's arrays. Raises OrganizerError for other arrays, and for those that do not fit."""
    stacked = _parts(arrays, where)
    if stacked.choices.ndim != 3 or stacked.choices.dtype.kind not in "iu" or 0 in stacked.choices.shape:
        expected = "integers [token, layer, k], none of them 0"
        raise _wrong("the choices have another form", _form(stacked.choices), expected, where)
    if stacked.lengths.min() < 0 or stacked.lengths.sum() != len(stacked.choices):
        got = f"lengths of {stacked.lengths.sum()} tokens together"
        raise _wrong("the lengths do not fit", got, f"the {len(stacked.choices)} tokens of the file", where)
    if len(stacked.labels) != len(stacked.lengths):
        got, expected = f"{len(stacked.labels)}", f"one for each of {len(stacked.lengths)} requests"
        raise _wrong("the labels do not fit", got, expected, where)
    return stacked


def routed_in_stack(arrays: Mapping[str, np.ndarray], stated: Stated, where: str) -> Iterator[RoutedTokens]:
    """Each request of a file's arrays, or those of the stated label. Raises OrganizerError."""
    stacked = stacked_of(arrays, where)
    labels = [str(label) for label in stacked.labels]
    if stated.label and stated.label not in labels:
        known = list(dict.fromkeys(labels))
        got = f"{', '.join(known[:8])}{', ...' if len(known) > 8 else ''}"
        raise _wrong("no request has this label", got, repr(stated.label), where)
    ends = np.cumsum(stacked.lengths)
    for label, end, length in zip(labels, ends, stacked.lengths, strict=True):
        if not stated.label or label == stated.label:
            ids = stacked.choices[end - length : end]
            yield request_of(ids, stated.prompt, where, layers=stacked.layers)


def _parts(arrays: Mapping[str, np.ndarray], where: str) -> Stacked:
    if set(arrays) >= TOPK:
        lengths = _integers(arrays, "length", where)
        labels = arrays.get("category", np.arange(len(lengths)))
        return Stacked(None, arrays["topk"], lengths, list(labels.ravel()))
    if set(arrays) >= LAB:
        # Requests may be interleaved; the order of each one's tokens stays.
        of_token = _integers(arrays, "requests", where)
        order = np.argsort(of_token, kind="stable")
        ids, lengths = np.unique(of_token, return_counts=True)
        choices = arrays["choices"]
        if choices.ndim != 3 or choices.shape[1] != len(order):
            got, expected = f"{list(choices.shape)}", f"[layer, {len(order)} tokens, k]"
            raise _wrong("choices and requests do not fit", got, expected, where)
        experts = arrays["experts"]
        if experts.dtype.kind not in "iu" or experts.size != 1:
            raise _wrong("experts has another form", _form(experts), "one integer", where)
        layers = tuple(_integers(arrays, "layers", where).tolist()) if "layers" in arrays else None
        return Stacked(int(experts.item()), choices.transpose(1, 0, 2)[order], lengths, list(ids), layers)
    names = [name for name in arrays if f"{name}_len" in arrays]
    if not names:
        got = ", ".join(arrays) or "no array"
        raise _wrong("the file holds no requests of a known form", got, FORMS, where)
    for name in names:
        if arrays[name].ndim != 3:
            raise _wrong(f"{name} has another form", _form(arrays[name]), "integers [token, layer, k]", where)
    shapes = {arrays[name].shape[1:] for name in names}
    if len(shapes) > 1:
        got = ", ".join(f"{name} {list(arrays[name].shape)}" for name in names)
        raise _wrong("the labels are of different models", got, "the same layers and k", where)
    for name in names:
        if (tokens := _integers(arrays, f"{name}_len", where).sum()) != len(arrays[name]):
            got, expected = f"{tokens} tokens", f"the {len(arrays[name])} tokens of {name}"
            raise _wrong(f"{name}_len does not fit", got, expected, where)
    choices, lengths = (np.concatenate([arrays[f"{name}{end}"] for name in names]) for end in ("", "_len"))
    return Stacked(None, choices, lengths, [name for name in names for _ in range(len(arrays[f"{name}_len"]))])


def _integers(arrays: Mapping[str, np.ndarray], name: str, where: str) -> np.ndarray:
    values = arrays[name]
    if values.dtype.kind not in "iu" or values.ndim != 1 or not values.size:
        raise _wrong(f"{name} has another form", _form(values), "one integer after another", where)
    return values


def _form(values: np.ndarray) -> str:
    return f"{values.dtype} {list(values.shape)}"


def _wrong(what: str, got: str, expected: str, where: str) -> OrganizerError:
    return OrganizerError(what, got, expected, "export the file again, or name another", where)
