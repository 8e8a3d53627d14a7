"""A request: the experts that its tokens were routed to, and how many of them are the prompt's."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from placement.errors import OrganizerError

from .counts import rectangular
from .dump_files import key_of, read_numpy

KEY = "routed_experts"


class RoutedTokens(NamedTuple):
    """ids: integers [token, layer, choice], tokens in order without the last, which is never routed; prompt: tokens of

    the prompt, 1 .. tokens.
    """

    ids: np.ndarray
    prompt: int


def read_routed_tokens(path: Path, prompt: int | None, allow_pickle: bool) -> RoutedTokens:
    """The request of an .npz (keys routed_experts, prompt_len or prompt_token_ids) or .npy (the ids alone).

    prompt: its length when the file does not tell. Raises OrganizerError.
    """
    arrays = read_numpy(path, allow_pickle)
    if path.suffix == ".npy":
        arrays = {KEY: arrays[path.stem]}
    if isinstance(arrays.get(KEY), dict):
        arrays = arrays[KEY]
    ids = rectangular(key_of(arrays, KEY, path.name), KEY, path.name, ("token", "layer", "choice"))
    if ids.ndim != 3 or 0 in ids.shape or ids.dtype.kind not in "iu":
        got = f"shape {list(ids.shape)}, dtype {ids.dtype}"
        expected = "integers [token, layer, choice]"
        raise OrganizerError("routed_experts has the wrong form", got, expected, "export the request again", path.name)
    length = _prompt(arrays, prompt, path.name)
    if not 1 <= length <= len(ids):
        got, expected = f"{length}", f"1 .. {len(ids)}, the tokens in the file"
        raise OrganizerError("the prompt's length does not fit", got, expected, "correct it, or --prompt", path.name)
    # As int64, so that sums of ids with a layer's offset cannot overflow int16.
    return RoutedTokens(ids.astype(np.int64, copy=False), length)


def _prompt(arrays: dict[str, Any], prompt: int | None, where: str) -> int:
    if "prompt_len" in arrays:
        value = rectangular(arrays["prompt_len"], "prompt_len", where, ())
        if value.size != 1 or value.dtype.kind not in "iu":
            got, expected = repr(value.tolist()), "one integer"
            raise OrganizerError("prompt_len has the wrong form", got, expected, "export the request again", where)
        return int(value.reshape(()))
    if "prompt_token_ids" in arrays:
        return rectangular(arrays["prompt_token_ids"], "prompt_token_ids", where, ("token",)).size
    if prompt is None:
        got = ", ".join(sorted(map(str, arrays)))
        expected = "prompt_len or prompt_token_ids"
        raise OrganizerError("the prompt's length is not known", f"keys {got}", expected, "give --prompt N", where)
    return prompt
