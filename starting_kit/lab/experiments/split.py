"""Requests split in two parts, and batches drawn from each: what a plan may see, and what it is measured on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from placement.errors import Problem

from ..traces.batches import Batches
from ..traces.routing_trace import RoutingTrace

# Random splits that the one by time is compared with: enough that one of them is uneven, few enough for a look.
DRAWS = 7
# Epochs at most that a short planning part is drawn in.
EPOCHS = 8


def split(trace: RoutingTrace, share: float = 0.5, seed: int | None = None) -> tuple[RoutingTrace, RoutingTrace]:
    """The requests that came first, and the others: no request is in both.

    share: of the tokens, which the first part has as nearly as whole requests allow; seed: draw the order of requests,
    for traces whose order is no time. Raises Problem for one request.
    """
    early = _early(trace.requests, share, [seed])[0]
    return trace.taken(early), trace.taken(~early)


def drift(trace: RoutingTrace, share: float = 0.5) -> tuple[float, float]:
    """How far the expert loads of two parts lie apart when split by time, and at most in DRAWS random splits.

    Both are the share of one part's choices that would have to go to another expert for equal loads (the total
    variation distance), a mean over layers. Raises Problem for one request.
    """
    early = _early(trace.requests, share, [None, *range(DRAWS)])
    # One count of all layers' choices serves every split: a token's code has a bit for each split that it is early in.
    code = early.T @ (1 << np.arange(len(early)))
    bits = (np.arange(1 << len(early)) >> np.arange(len(early))[:, None] & 1).astype(bool)
    apart = []
    for layer in range(len(trace.layers)):
        keys = code[:, None] * trace.experts + trace.choices[layer]
        counted = np.bincount(keys.ravel(), minlength=bits.shape[1] * trace.experts).reshape(-1, trace.experts)
        shares = [counts / counts.sum(axis=1, keepdims=True) for counts in (bits @ counted, ~bits @ counted)]
        apart.append(np.abs(shares[0] - shares[1]).sum(axis=1) / 2)
    by_time, *at_random = np.mean(apart, axis=0)
    return float(by_time), float(max(at_random))


def _early(requests: np.ndarray, share: float, seeds: Sequence[int | None]) -> np.ndarray:
    """Which tokens are of the first part, of a split by time (None) or at random: bool [seed, token]."""
    _, first, request, tokens = np.unique(requests, return_index=True, return_inverse=True, return_counts=True)
    if len(first) < 2:
        expected = "two or more: one to plan from, and another to measure on"
        raise Problem("the trace cannot be split", "one request", expected, "name a longer trace")
    parts = []
    for seed in seeds:
        order = np.argsort(first) if seed is None else np.random.default_rng([seed, 3]).permutation(len(first))
        passed = np.cumsum(tokens[order])
        stop = int(np.abs(passed[:-1] - share * passed[-1]).argmin()) + 1
        early = np.zeros(len(first), bool)
        early[order[:stop]] = True
        parts.append(early[request])
    return np.array(parts)


def drawn(
    part: RoutingTrace, layer_index: int, tokens: int, rows: int, seed: int, most: int, again: bool = False
) -> Batches:
    """At most `most` whole batches of `tokens` tokens, drawn at random over all requests of a part.

    again: draw a short part in several epochs, each in another order and, where the trace has no origins, with other
    ones: a plan shall not learn by heart which tokens met. A part of less than a batch is one batch.
    """
    whole = max(1, part.tokens // tokens)
    epochs = min(EPOCHS, -(-most // whole)) if again else 1
    # Seeds far from one another, so that epochs of one seed are not those of the next.
    # Of a long part no more is read than is taken.
    cut = tokens, rows
    parts = [part.batches(layer_index, *cut, seed + 1000 * epoch, min(whole, most)) for epoch in range(epochs)]
    every = joined(parts)
    return every.select(0, min(most, every.count))


def joined(parts: Sequence[Batches]) -> Batches:
    """The batches of several, one after another. Raises ValueError for other numbers of experts or choices."""
    if len(shapes := {(part.experts, part.choices.shape[1]) for part in parts}) > 1:
        raise ValueError(f"batches of {sorted(shapes)} (experts, choices); expected one model")
    sizes = np.concatenate([np.diff(part.starts) for part in parts])
    choices, origins = (np.concatenate([getattr(part, name) for part in parts]) for name in ("choices", "origins"))
    return Batches(parts[0].experts, choices, origins, np.append(0, np.cumsum(sizes)))
