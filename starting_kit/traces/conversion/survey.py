"""What requests have in common, from one look at all of them; and the requests once more, checked against it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import NamedTuple

import numpy as np

from placement.errors import OrganizerError

from .layers import dropped
from .recording import counted
from .routed_tokens import RoutedTokens, without_padding
from .zero_rows import ZeroRows


class Survey(NamedTuple):
    """layers: the numbers of the layers that route; dense: bool [layer of the file], those that do not; choices: of a

    token; rows, prompts, names, labels: of each request that has tokens; notes: a sentence for each thing left out.
    """

    layers: tuple[int, ...]
    dense: np.ndarray
    choices: int
    rows: list[int]
    prompts: list[int | None]
    names: list[int | str | None]
    labels: list[str | None]
    notes: list[str]


def survey(requests: Iterable[RoutedTokens]) -> Survey:
    """Look at every request once. Layers without experts name expert 0, or -1, in all choices of all tokens.

    Raises OrganizerError when there is no routing, when requests are of different models, and for rows that an engine
    never filled.
    """
    first: RoutedTokens | None = None
    dense = np.ones(0, bool)
    rows, prompts, names, labels = [], [], [], []
    empty = padded = 0
    unfilled, zeros = None, ZeroRows()
    seen: dict[tuple[int | str, str | None, bytes], str] = {}
    for request in requests:
        whole = len(request.ids)
        request = without_padding(request)
        padded += whole - len(request.ids)
        if not request.ids.size:
            empty += 1
            continue
        if first is None:
            first, dense = request._replace(ids=request.ids[:0]), np.ones(request.ids.shape[1], bool)
        if (request.ids.shape[1:], request.layers) != (first.ids.shape[1:], first.layers):
            raise _other_model(request, first)
        dense &= (request.ids <= 0).all(axis=(0, 2))
        unfilled = unfilled or _unfilled(request)
        zeros.add(request.ids)
        _refuse_copy(request, seen)
        rows.append(len(request.ids))
        prompts.append(request.prompt)
        names.append(request.name)
        labels.append(request.label)
    if first is None:
        got, expected = f"none in {counted(empty, 'request')}", "a request with tokens"
        raise OrganizerError("there is no routing", got, expected, "name other files, or another part of requests")
    if dense.all():
        got, expected = "expert 0 or none everywhere", "the experts of each token"
        raise OrganizerError("no layer routes a token", got, expected, "record again", first.where)
    if unfilled:
        raise unfilled
    notes = [dropped(dense, first.layers)] if dense.any() else []
    if empty:
        notes.append(f"{counted(empty, 'request')} without a token left out")
    if padded:
        notes.append(f"{counted(padded, 'row')} of padding left out: no expert, or at the end expert 0, in every layer")
    notes += zeros.notes(dense)
    layers = tuple(number for number, left_out in zip(first.layers, dense, strict=True) if not left_out)
    return Survey(layers, dense, first.ids.shape[2], rows, prompts, names, labels, notes)


def checked(requests: Iterable[RoutedTokens], found: Survey, experts: int) -> Iterator[RoutedTokens]:
    """The requests that the survey counted, their dense layers left out.

    Raises OrganizerError for ids that are no experts, or twice in a token's choices.
    """
    for request in map(without_padding, requests):
        if request.ids.size:
            kept = request._replace(ids=request.ids[:, ~found.dense], layers=found.layers)
            _check_ids(kept, experts)
            yield kept


def _refuse_copy(request: RoutedTokens, seen: dict[tuple[int | str, str | None, bytes], str]) -> None:
    """Note a request that has a name among those seen. Raises OrganizerError for one of its name and choices."""
    if request.name is None:
        return
    content = blake2b(np.ascontiguousarray(request.ids), digest_size=16).digest()
    first = seen.setdefault((request.name, request.label, content), request.where)
    if first != request.where:
        got, next_step = f"request {request.name} of {first} again", "leave one of the two out"
        raise OrganizerError("a request is there twice", got, "each once", next_step, request.where)


def _check_ids(request: RoutedTokens, experts: int) -> None:
    ids, layers = request.ids, request.layers
    wrong = (ids < -1) | (ids >= experts)
    if wrong.any():
        token, layer, choice = np.argwhere(wrong)[0]
        got = f"{ids[token, layer, choice]} at token {token}, layer {layers[layer]}, choice {choice} (from 0)"
        expected = f"0 .. {experts - 1}, or -1 for none"
        what = "routed_experts holds what is no expert"
        raise OrganizerError(what, got, expected, "correct --experts", request.where)
    ordered = np.sort(ids, axis=2)
    twice = (ordered[..., 1:] == ordered[..., :-1]) & (ordered[..., 1:] >= 0)
    if twice.any():
        token, layer, choice = np.argwhere(twice)[0]
        got = f"expert {ordered[token, layer, choice]} twice at token {token}, layer {layers[layer]} (from 0)"
        raise OrganizerError("a token has an expert twice", got, "different experts", "record again", request.where)


def _unfilled(request: RoutedTokens) -> OrganizerError | None:
    """The error for rows of zeros: with several choices any of them, with one a prompt of nothing else."""
    zeros = (request.ids <= 0).all(axis=(1, 2))
    if request.ids.shape[2] == 1:
        prompt = request.prompt or 0
        if prompt < 2 or not zeros[:prompt].all() or zeros.all():
            return None
        zeros[prompt:] = False
    if not zeros.any() or zeros.all():
        return None
    return OrganizerError(
        "rows of a request were never filled",
        got=f"{counted(int(zeros.sum()), 'token')} with expert 0 in every layer, the first of them"
        f" {int(np.argmax(zeros))} (from 0)",
        expected="the experts of each token",
        next_step="record again; with prefix caching or prompts in parts an engine may leave rows at zero",
        where=request.where,
    )


def _other_model(request: RoutedTokens, first: RoutedTokens) -> OrganizerError:
    got, expected = (
        f"{counted(one.ids.shape[1], 'layer')}, {counted(one.ids.shape[2], 'choice')}" for one in (request, first)
    )
    if got == expected:
        got, expected = (f"layers {', '.join(map(str, one.layers))}" for one in (request, first))
    expected += f" as in {first.where}"
    return OrganizerError(
        "the request is of another model", got, expected, "convert one model at a time", request.where
    )
