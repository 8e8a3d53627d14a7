"""A model of continuous batching: the iteration of a serving engine in which each token of a request is served."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Schedule(NamedTuple):
    """starts: each request's first iteration, from 0; iterations: how many there are; full: how many of them, from the

    first on, have as many requests in flight as may be.
    """

    starts: list[int]
    iterations: int
    full: int


def schedule(rows: Sequence[int], prompts: Sequence[int], in_flight: int) -> Schedule:
    """When each request begins if `in_flight` run at once and a finished one is replaced by the next in order.

    rows: a request's tokens that were routed; prompts: how many of them are the prompt's, all in the request's first
    iteration; each later one takes an iteration.
    """
    lengths = [1 + row - prompt for row, prompt in zip(rows, prompts, strict=True)]
    free = [0] * min(in_flight, len(lengths))
    starts = []
    for length in lengths:
        start = heapq.heappop(free)
        starts.append(start)
        heapq.heappush(free, start + length)
    return Schedule(starts, max(free), min(free) if len(free) == in_flight else 0)


def add_request(hotness: np.ndarray, ids: np.ndarray, prompt: int, start: int) -> None:
    """Add a request's tokens to hotness, int32 [iteration, layer, expert].

    ids: integers [token, layer, choice], an expert or -1 for none, no expert twice in one [token, layer]; prompt: the
    tokens of iteration `start`; the tokens after them are in the iterations after it.
    """
    layers, experts = hotness.shape[1:]
    flat = np.arange(layers)[None, :, None] * experts + ids
    first = flat[:prompt][ids[:prompt] >= 0]
    hotness[start] += np.bincount(first, minlength=layers * experts).reshape(layers, experts).astype(np.int32)
    token, layer, choice = np.nonzero(ids[prompt:] >= 0)
    # No index is there twice, because every token has an iteration of its own.
    hotness[start + 1 + token, layer, ids[prompt:][token, layer, choice]] += 1
