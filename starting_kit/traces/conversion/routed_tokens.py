"""Requests: which experts each of their tokens was routed to, from any form of file that tells it token by token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from placement.errors import OrganizerError

from .recording import ranges


class Stated(NamedTuple):
    """What the person says of requests, because no file may tell it.

    prompt: tokens of the prompts; top_k: experts of a token; label: which requests of a file that labels them;
    allow_pickle: also read pickled objects, which can run code; layer_count: layers of each token, where no top_k is
    given.
    """

    prompt: int | None = None
    top_k: int | None = None
    label: str = ""
    allow_pickle: bool = False
    layer_count: int | None = None


class RoutedTokens(NamedTuple):
    """A request. ids: integers [token, layer, choice], an expert or -1 for none; prompt: tokens of the prompt, 1 ..

    tokens, None where nobody tells; name: of the request, label: what it is about, None where it has none; layers: the
    numbers of its layers; where: the file, for errors. Engines record no choice of a request's last token, which no
    pass reads: `ids` may hold it or not.
    """

    ids: np.ndarray
    prompt: int | None
    name: int | str | None
    layers: tuple[int, ...]
    where: str
    label: str | None = None


def request_of(
    ids: np.ndarray,
    prompt: int | None,
    where: str,
    name: Any = None,
    layers: Sequence[int] | None = None,
    label: str | None = None,
) -> RoutedTokens:
    """A request whose array is checked. layers: by default 0, 1, ...; name: made a number where it is one.

    Raises OrganizerError for what is no array of integers [token, layer, choice], or a prompt that is longer. An array
    without tokens is a request that was not served.
    """
    if ids.ndim != 3 or (ids.size and ids.dtype.kind not in "iu"):
        got, expected = f"shape {list(ids.shape)}, dtype {ids.dtype}", "integers [token, layer, choice]"
        raise OrganizerError("routed_experts has the wrong form", got, expected, "export the request again", where)
    if ids.size and prompt is not None and not 1 <= prompt <= len(ids):
        got, expected = f"{prompt}", f"1 .. {len(ids)}, the tokens in the file"
        raise OrganizerError(
            "the prompt's length does not fit", got, expected, "correct the length, or --prompt", where
        )
    numbers = tuple(range(ids.shape[1]) if layers is None else layers)
    # As small as they come: only sums of uint64, in any byte order, with a layer's offset would be no integers.
    ids = ids if ids.size and np.can_cast(ids.dtype, np.int64) else ids.astype(np.int64)
    return RoutedTokens(ids, prompt, _named(name), numbers, where, label)


def part_of(request: RoutedTokens, part: str) -> RoutedTokens:
    """All of a request, or its prompt or output alone. Raises OrganizerError where nobody tells the prompt's length."""
    if part == "all" or not request.ids.size:
        return request
    if request.prompt is None:
        raise unknown_prompt(request.where)
    kept = slice(request.prompt) if part == "prompt" else slice(request.prompt, None)
    return request._replace(ids=request.ids[kept], prompt=None)


def unknown_prompt(where: str) -> OrganizerError:
    """The error for a request whose prompt has no known length."""
    got, expected = "no prompt_len or prompt_token_ids", "how many tokens the prompt has"
    return OrganizerError("the prompt's length is not known", got, expected, "give --prompt N", where)


def layers_of(request: RoutedTokens, layers: Sequence[int]) -> RoutedTokens:
    """A request with the layers of these numbers. Raises OrganizerError for those that it has not."""
    if not request.ids.size:
        return request
    if missing := sorted(set(layers) - set(request.layers)):
        got, expected = f"layers {ranges(request.layers)}", f"{ranges(missing)} among them"
        raise OrganizerError("the file has other layers", got, expected, "correct --layers", request.where)
    return request._replace(ids=request.ids[:, [request.layers.index(n) for n in layers]], layers=tuple(layers))


def without_padding(request: RoutedTokens) -> RoutedTokens:
    """A request without the rows that stand for no token: -1 in every layer, and, at the end, zeros in every layer.

    Some engines and scripts fill up to the length of the request's text; with one choice a token, zeros may be experts.
    """
    ids = request.ids
    if not ids.size:
        return request
    kept = ~(ids < 0).all(axis=(1, 2))
    if ids.shape[2] > 1:
        filled = np.flatnonzero((ids > 0).any(axis=(1, 2)))
        kept[filled[-1] + 1 if len(filled) else len(ids) :] &= not len(filled)
    if kept.all():
        return request
    prompt = None if request.prompt is None else max(1, int(kept[: request.prompt].sum()))
    return request._replace(ids=ids[kept], prompt=prompt)


def _named(name: Any) -> int | str | None:
    if name is None:
        return None
    text = str(name)
    return int(text) if text.lstrip("-").isdecimal() else text
