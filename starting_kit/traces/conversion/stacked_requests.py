"""Many requests in one file of plain arrays, .npz, in one of three forms; a request's tokens lie one after another:

    topk [token, layer, k], length [request], category [request]    the categories are the labels, and may be missing
    LABEL [token, layer, k], LABEL_len [request]                    for each label
    experts, layers, choices [layer, token, k], requests [token]    as earlier versions of `python -m lab` wrote them

Where a form has no labels, each request is its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from placement.errors import OrganizerError

from .routed_tokens import RoutedTokens, Stated, request_of
from .stored_array import StoredArray

FORMS = "topk and length; LABEL and LABEL_len; or experts, choices and requests"
TOPK, LAB = {"topk", "length"}, {"experts", "choices", "requests"}


class Stacked(NamedTuple):
    """experts: how many there are, None where the file does not tell; parts: each [token, layer, k], any values, one

    after another, with the tokens of each of its requests, integers [request]; labels: one for each request, numbers
    where the file has none; layers: their numbers, where the file tells.
    """

    experts: int | None
    parts: list[tuple[np.ndarray | StoredArray, np.ndarray]]
    labels: list[str] | list[int]
    layers: tuple[int, ...] | None = None


def is_stacked(names: Collection[str]) -> bool:
    """Whether a file with arrays of these names has one of the forms."""
    return set(names) >= TOPK or set(names) >= LAB or any(f"{name}_len" in names for name in names)


def stacked_of(arrays: Mapping[str, np.ndarray | StoredArray], where: str) -> Stacked:
    """The requests of a file's arrays; of the tokens' experts no more than the form is looked at.

    Raises OrganizerError for other arrays, and for those that do not fit.
    """
    stacked = _parts(arrays, where)
    empty = not any(lengths.any() for _, lengths in stacked.parts)
    for choices, lengths in stacked.parts:
        if choices.ndim != 3 or choices.dtype.kind not in "iu" or 0 in choices.shape[1:] or empty:
            expected = "integers [token, layer, k], none of them 0"
            raise _wrong("the choices have another form", _form(choices), expected, where)
        if lengths.min() < 0 or lengths.sum() != choices.shape[0]:
            got = f"lengths of {lengths.sum()} tokens together, the smallest {lengths.min()}"
            raise _wrong("the lengths do not fit", got, f"the {choices.shape[0]} tokens of the file", where)
    if len(stacked.labels) != (requests := sum(len(lengths) for _, lengths in stacked.parts)):
        got, expected = f"{len(stacked.labels)}", f"one for each of {requests} requests"
        raise _wrong("the labels do not fit", got, expected, where)
    return stacked


def routed_in_stack(
    arrays: Mapping[str, np.ndarray | StoredArray], stated: Stated, where: str
) -> Iterator[RoutedTokens]:
    """Each request of a file's arrays, or those of the stated label, read as it is asked for. Raises OrganizerError."""
    stacked = stacked_of(arrays, where)
    kept = iter(of_label(stacked.labels, stated.label, where))
    names = iter(stacked.labels)
    for choices, lengths in stacked.parts:
        for ids in rows_of(choices, lengths):
            label, wanted = next(names), next(kept)
            if wanted:
                known = {"label": label} if isinstance(label, str) else {"name": label}
                yield request_of(ids, stated.prompt, where, layers=stacked.layers, **known)


def of_label(labels: Sequence[str | int], label: str, where: str) -> list[bool]:
    """Which of the requests have a label, all for an empty one. Raises OrganizerError where none has it."""
    texts = [str(text) for text in labels]
    if label and label not in texts:
        known = list(dict.fromkeys(texts))
        got = f"{', '.join(known[:8])}{', ...' if len(known) > 8 else ''}"
        raise OrganizerError("no request has this label", got, repr(label), "name an existing label", where)
    return [not label or text == label for text in texts]


def rows_of(choices: np.ndarray | StoredArray, lengths: np.ndarray) -> Iterator[np.ndarray]:
    """The tokens of one request after another."""
    if isinstance(choices, StoredArray):
        return choices.rows(lengths)
    return iter(np.split(choices, np.cumsum(lengths)[:-1]))


def _parts(arrays: Mapping[str, np.ndarray | StoredArray], where: str) -> Stacked:
    if set(arrays) >= TOPK:
        lengths = _integers(arrays, "length", where)
        category = arrays.get("category")
        labels = list(range(len(lengths))) if category is None else [str(text) for text in np.asarray(category).flat]
        return Stacked(None, [(arrays["topk"], lengths)], labels)
    if set(arrays) >= LAB:
        # Requests may be interleaved; the order of each one's tokens stays.
        of_token = _integers(arrays, "requests", where)
        order = np.argsort(of_token, kind="stable")
        ids, lengths = np.unique(of_token, return_counts=True)
        # Layers come first, so that no request can be read without all of them.
        choices = np.asarray(arrays["choices"])
        if choices.ndim != 3 or choices.shape[1] != len(order):
            got, expected = f"{list(choices.shape)}", f"[layer, {len(order)} tokens, k]"
            raise _wrong("choices and requests do not fit", got, expected, where)
        experts = np.asarray(arrays["experts"])
        if experts.dtype.kind not in "iu" or experts.size != 1:
            raise _wrong("experts has the wrong form", _form(experts), "one integer", where)
        layers = tuple(_integers(arrays, "layers", where).tolist()) if "layers" in arrays else None
        return Stacked(int(experts.item()), [(choices.transpose(1, 0, 2)[order], lengths)], ids.tolist(), layers)
    names = [name for name in arrays if f"{name}_len" in arrays]
    if not names:
        got = ", ".join(arrays) or "no array"
        raise _wrong("the file holds no requests of a known form", got, FORMS, where)
    for name in names:
        if arrays[name].ndim != 3:
            raise _wrong(f"{name} has the wrong form", _form(arrays[name]), "integers [token, layer, k]", where)
    shapes = {arrays[name].shape[1:] for name in names}
    if len(shapes) > 1:
        got = ", ".join(f"{name} {list(arrays[name].shape)}" for name in names)
        raise _wrong("the labels are of different models", got, "the same layers and k", where)
    parts, labels = [], []
    for name in names:
        lengths = _integers(arrays, f"{name}_len", where)
        if (tokens := lengths.sum()) != arrays[name].shape[0]:
            got, expected = f"{tokens} tokens", f"the {arrays[name].shape[0]} tokens of {name}"
            raise _wrong(f"{name}_len does not fit", got, expected, where)
        parts.append((arrays[name], lengths))
        labels += [name] * len(lengths)
    return Stacked(None, parts, labels)


def _integers(arrays: Mapping[str, np.ndarray | StoredArray], name: str, where: str) -> np.ndarray:
    values = np.asarray(arrays[name])
    if values.dtype.kind not in "iu" or values.ndim != 1 or not values.size:
        raise _wrong(f"{name} has the wrong form", _form(values), "one integer after another", where)
    return values


def _form(values: np.ndarray | StoredArray) -> str:
    return f"{values.dtype} {list(values.shape)}"


def _wrong(what: str, got: str, expected: str, where: str) -> OrganizerError:
    return OrganizerError(what, got, expected, "export the file again, or name another", where)
