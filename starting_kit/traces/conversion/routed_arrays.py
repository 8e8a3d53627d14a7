"""Requests in arrays: what vLLM and SGLang return with each, saved as .npz, .npy or JSON."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import numpy as np

from placement.errors import OrganizerError

from .counts import rectangular
from .dump_files import key_of
from .routed_tokens import RoutedTokens, Stated, request_of

KEY, OF_PROMPT = "routed_experts", "prompt_routed_experts"
LENGTHS = {"prompt": ("prompt_len", "prompt_tokens"), "output": ("output_len", "completion_tokens")}
IDS = {"prompt": "prompt_token_ids", "output": "output_token_ids"}
# What an answer keeps beside its text: SGLang's generate, and chat completions of both engines.
PARTS = ("meta_info", "usage", "sglext")
NAMES = ("request_id", "id")
KEYS = (KEY, OF_PROMPT, *LENGTHS["prompt"], *LENGTHS["output"], *IDS.values(), *NAMES)
AXES = ("token", "layer", "choice")


def routed_of(arrays: Mapping[str, Any], stated: Stated, where: str) -> RoutedTokens:
    """The request of a file's arrays, or of an answer in JSON.

    routed_experts holds prompt and output, or the output alone beside prompt_routed_experts; each [token, layer,
    choice], or base64 of it. The output's last token may be missing, as it is in both engines. Raises OrganizerError.
    """
    arrays = _flat(arrays, where)
    prompt, output = (_length(arrays, part, where) for part in ("prompt", "output"))
    if arrays.get(OF_PROMPT) is not None:
        first = _ids(arrays[OF_PROMPT], OF_PROMPT, prompt, stated, where)
        if prompt not in (None, len(first)):
            raise _wrong_length(OF_PROMPT, len(first), f"{prompt}, as the prompt has", where)
        prompt, parts = len(first), [first]
        if arrays.get(KEY) is not None:
            # Without the last token, see above: an output of one token has none.
            tokens = None if output is None else max(0, output - 1)
            parts.append(_ids(arrays[KEY], KEY, tokens, stated, where))
            if parts[1].size == 0:
                parts.pop()
            elif parts[1].shape[1:] != first.shape[1:]:
                got, expected = (f"[token, layer, choice] {list(part.shape)}" for part in parts[::-1])
                what = f"{KEY} does not fit {OF_PROMPT}"
                raise OrganizerError(what, got, f"the layers and choices of {expected}", "export again", where)
        ids = np.concatenate(parts)
    else:
        tokens = None if prompt is None or output is None else prompt + max(0, output - 1)
        value = key_of(dict(arrays), KEY, where)
        ids = np.zeros((0, 0, 0), np.int64) if value is None else _ids(value, KEY, tokens, stated, where)
    if (
        prompt is not None
        and output is not None
        and ids.size
        and len(ids) not in (prompt + output, prompt + output - 1)
    ):
        expected = f"{prompt} of the prompt and {output} of the output, or one less: the last is never routed"
        raise _wrong_length(KEY, len(ids), expected, where)
    name = next((_single(arrays[key], key, where) for key in NAMES if arrays.get(key) is not None), None)
    return request_of(ids, stated.prompt if prompt is None else prompt, where, name)


def _flat(arrays: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """What an object or an answer holds in its parts, with the names of a request file.

    Raises OrganizerError for an answer of several outputs, of which one alone would be counted.
    """
    if isinstance(arrays.get(KEY), Mapping) and KEY in arrays[KEY]:
        arrays = arrays[KEY]
    inner = [arrays.get(part) for part in PARTS]
    for several in ("choices", "outputs"):
        if isinstance(arrays.get(several), list) and arrays[several]:
            if len(arrays[several]) > 1:
                got, expected = f"{len(arrays[several])} in {several}", "one: an answer is a request"
                next_step = "save an answer for each output, with the prompt's ids and length in each"
                raise OrganizerError("an answer has several outputs", got, expected, next_step, where)
            inner.append(arrays[several][0])
            if isinstance(inner[-1], Mapping):
                inner += [inner[-1].get(part) for part in PARTS]
    return dict(arrays) | {key: value for part in inner if isinstance(part, Mapping) for key, value in part.items()}


def _ids(value: Any, key: str, tokens: int | None, stated: Stated, where: str) -> np.ndarray:
    """Ids [token, layer, choice]; tokens: how many there are, for bytes without a shape."""
    dtype, shape = "int32", None
    if isinstance(value, Mapping):
        value, dtype, shape = value.get("data"), value.get("dtype", dtype), value.get("shape")
    if not isinstance(value, str):
        return rectangular(value, key, where, AXES)
    try:
        if dtype not in ("int8", "uint8", "int16", "uint16", "int32", "int64"):
            raise ValueError(f"dtype {dtype}")
        flat = np.frombuffer(base64.b64decode(value, validate=True), np.dtype(dtype).newbyteorder("<"))
    except (ValueError, binascii.Error) as error:
        raise OrganizerError(f"{key} is not base64", str(error), "base64 of integers", "record again", where) from None
    if shape is None:
        if stated.layer_count == 1 and not stated.top_k:
            expected, next_step = (
                "the number of every layer",
                "give --layers 0-60 for a model of 61 layers, or --top-k N",
            )
            raise OrganizerError("--layers names one layer", "1 number", expected, next_step, where)
        if not (stated.top_k or stated.layer_count) or not tokens:
            got = f"{flat.size} ids in a row" + (
                "" if tokens else ", and no numbers of prompt_tokens and completion_tokens"
            )
            expected = "tokens, and experts per token"
            next_step = "give --top-k N, or --layers with the number of every layer, as 0-60"
            raise OrganizerError(f"{key} has no known shape", got, expected, next_step, where)
        if stated.top_k:
            shape = (tokens, flat.size // (tokens * stated.top_k), stated.top_k)
        else:
            shape = (tokens, stated.layer_count, flat.size // (tokens * stated.layer_count))
    if flat.size != np.prod(shape, dtype=np.int64) or not flat.size:
        got, expected = f"{flat.size} ids", f"a multiple of {shape[0]} tokens x {shape[-1]} experts"
        next_step = "correct --top-k, or record again"
        if not stated.top_k:
            expected = f"a multiple of {shape[0]} tokens x {shape[1]} layers"
            next_step = "name every layer of the model with --layers, dense ones too, as 0-60, or give --top-k"
        raise OrganizerError(f"{key} does not fit", got, expected, next_step, where)
    return flat.reshape(shape)


def _length(arrays: Mapping[str, Any], part: str, where: str) -> int | None:
    for key in LENGTHS[part]:
        if arrays.get(key) is not None:
            value = _single(arrays[key], key, where)
            if not isinstance(value, int) or isinstance(value, bool):
                raise OrganizerError(f"{key} has the wrong form", repr(value), "one integer", "export again", where)
            return value
    if arrays.get(IDS[part]) is not None:
        ids = rectangular(arrays[IDS[part]], IDS[part], where, ("token",))
        if ids.ndim != 1:
            got, next_step = f"shape {list(ids.shape)}", "export the request again"
            raise OrganizerError(f"{IDS[part]} has the wrong form", got, "one id after another", next_step, where)
        return len(ids)
    return None


def _single(value: Any, key: str, where: str) -> Any:
    array = rectangular(value, key, where, ())
    if array.size != 1:
        got = repr(array.tolist())[:60]
        raise OrganizerError(f"{key} has the wrong form", got, "one value", "export the request again", where)
    return array.reshape(())[()].item()


def _wrong_length(what: str, got: int, expected: str, where: str) -> OrganizerError:
    return OrganizerError(f"{what} has other tokens", f"{got} tokens", expected, "export the request again", where)
