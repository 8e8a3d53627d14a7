"""Recorded requests: which experts each of their tokens chose in every layer, and each request's label.

An .npz of plain arrays, in one of three forms; the tokens of a request lie one after another:

    topk [token, layer, k], length [request], category [request]    the categories are the labels, and may be missing
    LABEL [token, layer, k], LABEL_len [request]                    for each label
    experts, choices [layer, token, k], requests [token]            as `python -m lab import` writes them

Where a form has no labels, each request is its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from placement.errors import OrganizerError

from ..conversion.file_errors import pickled, unreadable

FORMS = "topk and length; LABEL and LABEL_len; or experts, choices and requests"


@dataclass(frozen=True, eq=False)
class Requests:
    """Requests one after another.

    choices: integers [token, layer, k], no expert twice in a token; lengths: int64 [request], tokens of each, at least
    one; labels: one text for each request; experts: how many there are.
    """

    choices: np.ndarray
    lengths: np.ndarray
    labels: tuple[str, ...]
    experts: int


def read_requests(path: Path) -> Requests:
    """Read a file of recorded requests; those without a token are left out.

    There are as many experts as the largest id says, where the file does not state it. Raises OrganizerError.
    """
    arrays = _arrays(path)
    experts, choices, lengths, labels = _parts(arrays, path.name)
    if choices.ndim != 3 or choices.dtype.kind not in "iu" or 0 in choices.shape:
        expected = "integers [token, layer, k], none of them 0"
        raise _wrong("the choices have another form", _form(choices), expected, path.name)
    if lengths.min() < 0 or lengths.sum() != len(choices):
        got = f"lengths of {lengths.sum()} tokens together"
        raise _wrong("the lengths do not fit", got, f"the {len(choices)} tokens of the file", path.name)
    if len(labels) != len(lengths):
        raise _wrong("the labels do not fit", f"{len(labels)}", f"one for each of {len(lengths)} requests", path.name)
    if experts is None:
        experts = int(choices.max()) + 1
    if choices.min() < 0 or choices.max() >= experts:
        got = f"experts {choices.min()} .. {choices.max()}"
        raise _wrong("an expert is out of range", got, f"0 .. {experts - 1}", path.name)
    ordered = np.sort(choices, axis=2)
    if (twice := (ordered[..., 1:] == ordered[..., :-1]).any(axis=2)).any():
        token, layer = np.argwhere(twice)[0]
        got = f"token {token}, layer {layer}: {choices[token, layer].tolist()}"
        raise _wrong("a token chooses an expert twice", got, "different ones", path.name)
    some = lengths > 0
    named = tuple(str(label) for label, there in zip(labels, some, strict=True) if there)
    return Requests(choices, lengths[some].astype(np.int64), named, experts)


def _parts(arrays: Mapping[str, np.ndarray], where: str) -> tuple[int | None, np.ndarray, np.ndarray, list[str]]:
    """Experts (None: not stated), choices, lengths and labels of any of the forms."""
    if {"topk", "length"} <= set(arrays):
        lengths = _integers(arrays, "length", where)
        return None, arrays["topk"], lengths, list(arrays.get("category", np.arange(len(lengths))).ravel())
    if {"experts", "choices", "requests"} <= set(arrays):
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
        return int(experts.item()), choices.transpose(1, 0, 2)[order], lengths, list(ids)
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
    return None, choices, lengths, [name for name in names for _ in range(len(arrays[f"{name}_len"]))]


def _integers(arrays: Mapping[str, np.ndarray], name: str, where: str) -> np.ndarray:
    values = arrays[name]
    if values.dtype.kind not in "iu" or values.ndim != 1 or not values.size:
        raise _wrong(f"{name} has another form", _form(values), "one integer after another", where)
    return values


def _form(values: np.ndarray) -> str:
    return f"{values.dtype} {list(values.shape)}"


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    # numpy and zipfile raise nearly anything on a damaged file, and on what is none.
    except Exception as error:
        objects = "Object arrays" in str(error) or "pickled" in str(error)
        raise (pickled(path, may_be_allowed=False) if objects else unreadable(path, error)) from error


def _wrong(what: str, got: str, expected: str, where: str) -> OrganizerError:
    return OrganizerError(what, got, expected, "export the file again, or name another", where)
