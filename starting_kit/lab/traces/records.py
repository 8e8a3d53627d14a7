"""JSONL traces: a record per line, each the tokens of one batch in one layer, as moe-balance writes them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from placement.errors import Problem
from traces.conversion.choices import wrong_choice

from .routing_trace import RoutingTrace

# What a router may have told beside the choices: fields of a Record.
BESIDE = ("scores", "weights")


@dataclass(frozen=True, eq=False)
class Record:
    """A batch of one layer. choices: int32 [token, k].

    None where it has none: origins, int32 [token]; scores, float32 [token, expert]; weights, float32 [token, k].
    """

    layer: int
    batch_id: int
    choices: np.ndarray
    origins: np.ndarray | None = None
    request_id: int | str | None = None
    scores: np.ndarray | None = None
    weights: np.ndarray | None = None


def read_records(path: Path, experts: int) -> Iterator[Record]:
    """Read a trace line by line; empty lines are passed over.

    experts: how many there are. The legacy form, `tokens: [{origin_row, topk_experts}]`, is read too. Raises Problem
    for what is not JSON, a missing or malformed field, experts out of range or twice in a token; OSError.
    """
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield _record(line, f"{path}, line {number}", experts)


def trace_of(records: Iterable[Record], experts: int) -> RoutingTrace:
    """One trace of all layers, to be cut into other batches: each batch id counts as a request.

    Raises ValueError unless every layer has the same batch ids in the same order, with as many tokens and origins, as
    the first.
    """
    grouped: dict[int, list[Record]] = {}
    for record in records:
        grouped.setdefault(record.layer, []).append(record)
    if not grouped:
        raise ValueError("no records; expected at least one")
    first = next(iter(grouped.values()))
    form = [(record.batch_id, record.choices.shape) for record in first]
    for layer, batches in grouped.items():
        if [(record.batch_id, record.choices.shape) for record in batches] != form:
            raise ValueError(
                f"layer {layer} has other batches than layer {first[0].layer}; expected the same ids and shapes: "
                "read the layers one at a time"
            )
    layers = tuple(sorted(grouped))
    choices = np.stack([np.concatenate([record.choices for record in grouped[layer]]) for layer in layers])
    requests = np.concatenate([np.full(len(record.choices), record.batch_id) for record in first])
    known = [record.origins for record in first if record.origins is not None]
    origins = np.concatenate(known) if len(known) == len(first) else None
    ordered = [[getattr(record, name) for layer in layers for record in grouped[layer]] for name in BESIDE]
    # Tokens of a layer after another, as the choices; of no use where some record has none.
    scores, weights = (
        None if any(one is None for one in values) else np.concatenate(values).reshape(len(layers), len(requests), -1)
        for values in ordered
    )
    return RoutingTrace(experts, layers, choices, requests, origins, scores, weights)


def _record(line: bytes, where: str, experts: int) -> Record:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _wrong("the line is not JSON", str(error), "an object", where) from error
    if not isinstance(fields, dict):
        raise _wrong("the line is no record", f"a {type(fields).__name__}", "an object", where)
    layer, batch_id = (_number(fields, key, where) for key in ("layer", "batch_id"))
    if "topk_experts" in fields:
        chosen, rows = fields["topk_experts"], fields.get("origin_rows")
    else:
        chosen, rows = _legacy(fields, where)
    choices = _integers(chosen, 2, "topk_experts", where)
    if not choices.size:
        raise _wrong("the record has no tokens", "none", "at least one with an expert", where)
    if wrong := wrong_choice(choices, experts):
        raise _wrong("topk_experts has no right choices", *wrong, where)
    origins = None if rows is None else _integers(rows, 1, "origin_rows", where)
    if origins is not None and (len(origins) != len(choices) or origins.min() < 0 or origins.max() >= 2**31):
        expected = f"{len(choices)} rows from 0, one per token"
        raise _wrong("origin_rows does not fit", str(origins.tolist())[:60], expected, where)
    request = fields.get("request_id")
    if not isinstance(request, (int, str, type(None))):
        raise _wrong("request_id is of another type", f"a {type(request).__name__}", "a number or a text", where)
    scores = _floats(fields.get("scores"), (len(choices), experts), "scores", where)
    weights = _floats(fields.get("topk_weights"), choices.shape, "topk_weights", where)
    return Record(
        layer,
        batch_id,
        choices.astype(np.int32),
        None if origins is None else origins.astype(np.int32),
        request,
        scores,
        weights,
    )


def _legacy(fields: dict[str, Any], where: str) -> tuple[list[Any], list[Any] | None]:
    tokens = fields.get("tokens")
    if not isinstance(tokens, list) or not all(isinstance(t, dict) and "topk_experts" in t for t in tokens):
        got = f"keys {', '.join(fields)}"
        raise _wrong("the record has no experts", got, "topk_experts, or a list `tokens` of objects with them", where)
    rows = [token.get("origin_row") for token in tokens]
    return [token["topk_experts"] for token in tokens], None if all(row is None for row in rows) else rows


def _number(fields: dict[str, Any], key: str, where: str) -> int:
    value = fields.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
        raise _wrong(f"{key} is no number", f"{value!r:.60}", "an integer from 0", where)
    return value


def _integers(value: Any, rank: int, key: str, where: str) -> np.ndarray:
    try:
        result = np.array(value)
    except ValueError as error:
        raise _wrong(f"{key} is ragged", "lists of several lengths", "as many experts in every token", where) from error
    if _has_boolean(value):
        raise _wrong(f"{key} has a boolean", f"{value!r:.60}", f"integers, {rank}-dimensional", where)
    if result.ndim != rank or (result.dtype.kind not in "iu" and result.size):
        got, expected = f"shape {list(result.shape)} of dtype {result.dtype}", f"integers, {rank}-dimensional"
        raise _wrong(f"{key} has the wrong form", got, expected, where)
    return result


def _floats(value: Any, shape: tuple[int, ...], key: str, where: str) -> np.ndarray | None:
    """Numbers of the router, from 0; None where the record has none."""
    if value is None:
        return None
    try:
        result = np.array(value, np.float32)
    except (TypeError, ValueError) as error:
        raise _wrong(f"{key} has the wrong form", str(error), f"numbers {list(shape)}", where) from None
    if result.shape != shape:
        raise _wrong(f"{key} has the wrong form", f"shape {list(result.shape)}", f"numbers {list(shape)}", where)
    if not (result.min() >= 0 and result.max() < np.inf):
        got = f"{result.min():g} .. {result.max():g}"
        raise _wrong(f"{key} are out of range", got, "finite numbers from 0, a softmax or sigmoids", where)
    return result


def _has_boolean(value: Any) -> bool:
    """Whether there is one in nested lists: among numbers an array takes it for 0 or 1."""
    return isinstance(value, bool) or (isinstance(value, list) and any(map(_has_boolean, value)))


def _wrong(what: str, got: str, expected: str, where: str) -> Problem:
    return Problem(what, got, expected, "correct the line, or record again", where)
