"""Requests as lists of passes: `[{layer: [[expert, ...] of each token], or null}, ...]`, a JSON file for each request.

Published selections of Llama-4, DeepSeek-R1, Qwen3 and Kimi K2 have this form. The first pass reads the prompt, each
later one a token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from placement.errors import OrganizerError

from .counts import rectangular
from .file_errors import kind_of
from .routed_tokens import RoutedTokens, request_of


def routed_in_steps(passes: Sequence[Any], where: str, name: str) -> RoutedTokens:
    """The request of a file's passes; layers that are null in all of them choose -1. Raises OrganizerError."""
    read = [pass_of(step, f"{where}, pass {index}") for index, step in enumerate(passes) if step != {}]
    if not read:
        raise _wrong("the file holds no pass", "an empty list", "a pass for the prompt, then one for each token", where)
    routed = {layer: ids for layer, ids in read[0].items() if ids is not None}
    choices = next(iter(routed.values())).shape[1]
    numbers = sorted({layer for step in read for layer in step})
    parts = []
    for index, step in enumerate(read):
        some = {layer: ids for layer, ids in step.items() if ids is not None}
        if some.keys() != routed.keys() or {ids.shape[1] for ids in some.values()} != {choices}:
            got = f"layers {list(some)}, experts {sorted({ids.shape[1] for ids in some.values()})}"
            place, expected = f"{where}, pass {index}", f"those of pass 0: layers {list(routed)}"
            raise _wrong("a pass has the wrong form", got, expected, place)
        part = np.full((len(next(iter(some.values()))), len(numbers), choices), -1)
        for layer, ids in some.items():
            part[:, numbers.index(layer)] = ids
        parts.append(part)
    return request_of(np.concatenate(parts), len(parts[0]), where, name, numbers)


def pass_of(step: Any, where: str) -> dict[int, np.ndarray | None]:
    """The ids [token, choice] of a pass's layers, None for null, in order of their numbers. Raises OrganizerError."""
    if not isinstance(step, Mapping):
        raise _wrong("a pass has the wrong form", kind_of(step), "a mapping of layers", where)
    numbers = {key: key.rpartition("_")[2].rpartition(".")[2] for key in map(str, step)}
    if other := [key for key, number in numbers.items() if not number.isdecimal()]:
        raise _wrong("a pass has a key that is not a layer", repr(other[0])[:60], "numbers of layers", where)
    values = {int(numbers[str(key)]): value for key, value in step.items()}
    result = dict.fromkeys(sorted(values))
    for layer in result:
        if values[layer] is None:
            continue
        place = f"{where}, layer {layer}"
        ids = rectangular(values[layer], "the choices", place, ("token", "choice"))
        if ids.ndim != 2 or 0 in ids.shape or ids.dtype.kind not in "iu":
            got = f"shape {list(ids.shape)}, dtype {ids.dtype}"
            raise _wrong("the choices have the wrong form", got, "integers [token, choice]", place)
        result[layer] = ids
    if len(tokens := sorted({len(ids) for ids in result.values() if ids is not None})) != 1:
        got = "no layer with experts" if not tokens else f"{tokens[0]} and {tokens[-1]} tokens"
        raise _wrong("a pass's layers do not fit together", got, "the same tokens in every layer, or null", where)
    return result


def _wrong(what: str, got: str, expected: str, where: str) -> OrganizerError:
    return OrganizerError(what, got, expected, "export the file again", where)
