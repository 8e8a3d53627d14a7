"""A capacity for every expert: tokens above it lose the expert, or get the next best one that has room."""

from __future__ import annotations

import math

import numpy as np


def capacity(factor: float, tokens: int, k: int, experts: int) -> int:
    """Tokens that an expert takes of a batch: max(1, ceil(factor * tokens * k / experts)), and all at most.

    Source: GShard (arXiv 2006.16668), Switch Transformers (arXiv 2101.03961). Raises ValueError for
    factors that are not above 0.
    """
    if not factor > 0:
        raise ValueError(f"a capacity factor of {factor}; expected more than 0, or inf")
    if math.isinf(factor):
        return tokens
    # Rounded before the ceiling: 1.1 * 10 is more than 11 in floats.
    return min(tokens, max(1, math.ceil(round(factor * tokens * k / experts, 9))))


def dropped(choices: np.ndarray, room: int) -> np.ndarray:
    """The choices within the capacity, -1 in place of the others: int64 [token, k].

    choices: [token, k], the best first, -1 for none. All first choices come before all second ones, as in GShard,
    among them earlier tokens first; so a later token's first choice may take the room of an earlier one's second.
    """
    return np.where(room > _places(choices.T.ravel()).reshape(choices.T.shape).T, choices, -1)


def rerouted(scores: np.ndarray, k: int, room: int) -> np.ndarray:
    """The k best experts that have room when a token's turn comes, never one twice; -1 only where none has: [token, k].

    scores: [token, expert]. Turns as in `dropped`: rank by rank, in each the tokens in order. Within a rank all tokens
    ask at once, an expert keeps its earliest ones, and the others ask their next best: as all experts prefer earlier
    tokens, that ends where one turn after another does.
    """
    left = np.array(scores, np.float64)
    free = np.full(scores.shape[1], room)
    result = np.full((len(scores), k), -1)
    for rank in range(k):
        held, asking = np.full(len(scores), -1), np.arange(len(scores))
        while len(asking):
            best = left[asking].argmax(axis=1)
            found = left[asking, best] > -np.inf
            held[asking[found]] = best[found]
            holding = np.flatnonzero(held >= 0)
            asking = holding[_places(held[holding]) >= free[held[holding]]]
            left[asking, held[asking]] = -np.inf
            held[asking] = -1
        holding = np.flatnonzero(held >= 0)
        result[:, rank] = held
        left[holding, held[holding]] = -np.inf
        free -= np.bincount(held[holding], minlength=len(free))
        left[:, free == 0] = -np.inf
    return result


def _places(keys: np.ndarray) -> np.ndarray:
    """How many equal keys come before each: int64 [key]. keys: from -1."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=-2))
    places = np.empty(len(keys), np.int64)
    places[order] = np.arange(len(keys)) - np.repeat(starts, np.diff(np.append(starts, len(keys))))
    return places
