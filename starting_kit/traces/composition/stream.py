"""A server's stream made of recorded requests.

`in_flight` requests run at once. All begin at iteration 0 with their first token; each routes `tokens` tokens an
iteration, in all layers, and in its last iteration what is left. In the iteration after, another request has its place.
Which one is drawn in proportion to e^x of its topic (weights.py), so the topics' sizes count, and one may come again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .request_file import Requests
from .topics import Topics
from .weights import COURSES


@dataclass(frozen=True)
class Composition:
    """weights: a key of COURSES; switch_every: least and most iterations between switches; in_flight: requests at once;

    tokens: of a request in an iteration; longest: tokens that a request is cut at, None for none.
    """

    weights: str = "stationary"
    switch_every: tuple[int, int] = (1500, 1500)
    in_flight: int = 512
    tokens: int = 1
    longest: int | None = None


def compose(requests: Requests, topics: Topics, plan: Composition, iterations: int, seed: int) -> np.ndarray:
    """Compose a trace: int32 [iteration, layer, expert]; every row adds up to k of each token in the iteration.

    The same arguments give the same trace, and a longer trace begins with the shorter one of the same seed.
    """
    arriving, moving = (np.random.Generator(np.random.PCG64(s)) for s in np.random.SeedSequence(seed).spawn(2))
    weights = COURSES[plan.weights](len(topics.names), plan.switch_every, moving)
    layers, experts = requests.choices.shape[1], requests.experts
    # Each token's places in a row [layer * expert], as small as they may be.
    small = np.min_scalar_type(layers * experts)
    places = (requests.choices.astype(small) + (experts * np.arange(layers, dtype=small))[:, None]).astype(small)
    places = places.reshape(len(places), -1)
    ends = requests.lengths.cumsum()
    begins = ends - requests.lengths
    ends = ends if plan.longest is None else np.minimum(ends, begins + plan.longest)
    at, end = np.zeros((2, plan.in_flight), np.int64)
    trace = np.empty((iterations, layers, experts), np.int32)
    for row in trace:
        over = np.flatnonzero(at >= end)
        new = _drawn(np.exp(next(weights))[topics.of_request], arriving.random(len(over)))
        at[over], end[over] = begins[new], ends[new]
        tokens = at[:, None] + np.arange(plan.tokens)
        chosen = places[tokens[tokens < end[:, None]]].ravel()
        row[...] = np.bincount(chosen, minlength=row.size).reshape(row.shape)
        at += plan.tokens
    return trace


def _drawn(weights: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """An index for each number of `uniform` in 0 .. 1, in proportion to the weights."""
    sums = weights.cumsum()
    return np.minimum(np.searchsorted(sums, uniform * sums[-1], side="right"), len(sums) - 1)
