"""Requests as JSON lines: a token's experts in one layer on each, `{layer, topk_ids}`, with `token_idx` and `req_id`.

Loggers that people patch into vLLM write this form, at times a file for each layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from placement.errors import OrganizerError

from .json_lines import objects_in, whole_number
from .routed_tokens import RoutedTokens, Stated, request_of

IDS = ("topk_ids", "topk")
NAMES, PLACES = ("req_id", "request_id"), ("token_idx", "token_id", "token")
NEEDED = f"layer and {IDS[0]}, at best {PLACES[0]} and {NAMES[0]} too"


def routed_in_lines(files: Sequence[Path], stated: Stated) -> Iterator[RoutedTokens]:
    """The requests of all files, in order of their first lines; lines of another `type` than route are left out.

    A request's layers may lie in several files. Tokens go in order of token_idx, or of the lines where there is none.
    Raises OrganizerError for lines of another form, a token that is there twice, and layers with other tokens.
    """
    requests: dict[Any, dict[int, dict[int, Sequence[int]]]] = {}
    place = ""
    for file in files:
        for fields, place in objects_in(file):
            if not _is_route(fields, place):
                continue
            name = next((fields[key] for key in NAMES if key in fields), None)
            if not isinstance(name, (str, int, type(None))):
                raise _wrong("the request's name has the wrong form", repr(name)[:60], "a text or a number", place)
            tokens = requests.setdefault(name, {}).setdefault(whole_number(fields, "layer", place), {})
            key = next((key for key in PLACES if key in fields), None)
            token = len(tokens) if key is None else whole_number(fields, key, place)
            if token in tokens:
                got = f"token {token} of request {name} in layer {fields['layer']} again"
                raise _wrong("a token is there twice", got, "each once", place)
            tokens[token] = _choices(fields, place)
    if not requests:
        raise _wrong("the file holds no routing", "no line with it", NEEDED, place or files[0].name)
    for name, layers in requests.items():
        yield _request(name, layers, stated, files[0].name)


def _request(name: Any, layers: dict[int, dict[int, Sequence[int]]], stated: Stated, where: str) -> RoutedTokens:
    numbers = sorted(layers)
    order = sorted(layers[numbers[0]])
    for layer in numbers:
        if sorted(layers[layer]) != order:
            got, expected = (f"{len(layers[number])} in layer {number}" for number in (layer, numbers[0]))
            place = f"{where}, request {name}"
            raise _wrong("a request's layers have other tokens", got, f"the same tokens as {expected}", place)
    if order[-1] - order[0] >= len(order):
        gap = next(token for token, after in pairwise(order) if after > token + 1)
        got, expected = f"no token {gap + 1} of {order[0]} .. {order[-1]}", "each of a request's tokens"
        raise _wrong("a request's token is missing", got, expected, f"{where}, request {name}")
    lengths = {len(ids) for tokens in layers.values() for ids in tokens.values()}
    if len(lengths) > 1:
        got, place = f"{min(lengths)} and {max(lengths)} experts", f"{where}, request {name}"
        raise _wrong("tokens have different numbers of experts", got, "one number", place)
    ids = np.array([[layers[layer][token] for layer in numbers] for token in order])
    return request_of(ids, stated.prompt, where, name, numbers)


def _is_route(fields: dict[str, Any], where: str) -> bool:
    """Whether a line is a token's experts, and none of another type. Raises OrganizerError for other keys."""
    ids = any(key in fields for key in IDS)
    if not ids and "type" in fields:
        return False
    if not ids or "layer" not in fields:
        raise _wrong("the line has other keys", ", ".join(fields) or "none", NEEDED, where)
    return True


def _choices(fields: dict[str, Any], where: str) -> Sequence[int]:
    key = next(key for key in IDS if key in fields)
    value = fields[key]
    if not isinstance(value, list) or not value or any(type(expert) is not int for expert in value):
        raise _wrong(f"{key} has the wrong form", repr(value)[:60], "a list of integers", where)
    return value


def _wrong(what: str, got: str, expected: str, where: str) -> OrganizerError:
    return OrganizerError(what, got, expected, "correct the line, or record again", where)
