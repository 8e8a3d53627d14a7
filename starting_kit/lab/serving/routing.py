"""Routers: which copy of its expert serves a choice. Pure functions of batches, a plan's copies and hints.

Each returns int64 [token, choice], indices into the copies. Online controls: they see one batch at a time, or hints
from earlier ones, and never change the plan.
"""

from __future__ import annotations

import numpy as np

from ..traces.batches import Batches
from .replicas import Copies
from .torus import Torus


def first_copy(batches: Batches, copies: Copies) -> np.ndarray:
    """Always the first copy: plain top-k."""
    return copies.first[batches.choices]


def round_robin(batches: Batches, copies: Copies) -> np.ndarray:
    """An expert's tokens of a batch in turn over its copies, so that their loads differ by one at most."""
    return copies.first[batches.choices] + batches.occurrence % copies.count[batches.choices]


def block_aligned(batches: Batches, copies: Copies, block: int = 32) -> np.ndarray:
    """Whole blocks of tokens in turn over the copies, so that no copy multiplies a partial block but the last."""
    return copies.first[batches.choices] + batches.occurrence // block % copies.count[batches.choices]


def capacity_first_fit(batches: Batches, copies: Copies, capacity: int) -> np.ndarray:
    """The first copy with room; when all are full, round robin over them: nothing is dropped.

    Closed form of the sequential rule: with n earlier tokens of the expert in the batch and R copies, copy
    n // capacity while n < R * capacity, then (n - R * capacity) mod R. capacity: tokens per copy and batch.
    """
    count = copies.count[batches.choices]
    over = batches.occurrence - count * capacity
    return copies.first[batches.choices] + np.where(over < 0, batches.occurrence // capacity, over % count)


def even_capacity(batches: Batches, copies: Copies, factor: float = 2.0) -> int:
    """Tokens per copy: factor times what an even spread gives, from the mean number of tokens per batch."""
    tokens = len(batches.choices) // batches.count
    return max(1, int(factor * tokens * batches.choices.shape[1] / len(copies.slot)))


def first_fit(batches: Batches, copies: Copies) -> np.ndarray:
    """Capacity first-fit at twice the even share."""
    return capacity_first_fit(batches, copies, even_capacity(batches, copies))


def least_loaded(batches: Batches, copies: Copies, age: int = 0) -> np.ndarray:
    """Fill the copies on the least loaded devices first.

    Experts of one copy come first, then the fullest per copy, and each one's tokens level the devices of its copies.
    The shares are those that levelled the batch `age` batches earlier (0: this one); the first `age` go round robin.
    """
    quota = np.stack([_levelled(load, copies) for load in batches.load])
    if age:
        stale = np.concatenate([np.ones((min(age, batches.count), quota.shape[1])), quota[:-age]])
        quota = np.where(_per_expert(stale, copies) > 0, stale, 1)
    # A copy serves the choices whose position in its expert's batch lies in the copy's part of the whole.
    upper = np.cumsum(quota, axis=1)
    total = _per_expert(quota, copies)
    before = upper[:, copies.first[:-1]] - quota[:, copies.first[:-1]]
    upper = (upper - np.repeat(before, copies.count, axis=1)) / np.maximum(total, 1e-300)
    batch = batches.batch_of_token[:, None]
    place = (batches.occurrence + 0.5) / batches.load[batch, batches.choices]
    result = copies.first[batches.choices]
    last = copies.first[batches.choices + 1] - 1
    for _ in range(int(copies.count.max()) - 1):
        result = np.where((result < last) & (place > upper[batch, result]), result + 1, result)
    return result


def _per_expert(values: np.ndarray, copies: Copies) -> np.ndarray:
    """The sums of values [batch, copy] over each expert's copies, at every copy."""
    return np.repeat(np.add.reduceat(values, copies.first[:-1], axis=1), copies.count, axis=1)


def _levelled(load: np.ndarray, copies: Copies) -> np.ndarray:
    """Tokens of each copy, float64 [copy], when every expert in turn levels the devices of its copies, twice over."""
    quota = (load / copies.count)[copies.expert]
    several = copies.count > 1
    fixed = ~several[copies.expert]
    # Python's own numbers: an expert has a handful of copies, for which numpy is slower.
    heights = np.bincount(copies.device[fixed], quota[fixed], minlength=len(copies.plan)).tolist()
    tokens, device, first = quota.tolist(), copies.device.tolist(), copies.first.tolist()
    order = [int(e) for e in np.argsort(-load / copies.count, kind="stable") if several[e]]
    for again in (False, True):
        for expert in order:
            own = range(first[expert], first[expert + 1])
            if again:
                for copy in own:
                    heights[device[copy]] -= tokens[copy]
            _level(float(load[expert]), own, device, heights, tokens)
    return np.array(tokens)


def _level(amount: float, own: range, device: list[int], heights: list[float], tokens: list[float]) -> None:
    """Pour an expert's tokens onto the devices of its copies, lowest first; changes heights and tokens."""
    shared_by: dict[int, list[int]] = {}
    for copy in own:
        shared_by.setdefault(device[copy], []).append(copy)
    places = sorted(shared_by, key=lambda place: heights[place])
    below, level = 0.0, 0.0
    for number, place in enumerate(places, 1):
        if number > 1 and level <= heights[place]:
            break
        below += heights[place]
        level = (amount + below) / number
    for place in places:
        part = max(0.0, level - heights[place])
        heights[place] += part
        for copy in shared_by[place]:
            tokens[copy] = part / len(shared_by[place])


def same_row_first(batches: Batches, copies: Copies, torus: Torus, threshold: float = 1.0) -> np.ndarray:
    """The copy in the token's own row, until it holds `threshold` times an even share; the rest round robin.

    threshold: 0 ignores rows, infinity never spills. A choice without a copy in its row goes round robin too.
    """
    experts, size = len(copies.count), len(copies.slot)
    local = np.full((torus.rows, experts), -1)
    backwards = np.arange(size)[::-1]
    local[torus.row(copies.device[backwards]), copies.expert[backwards]] = backwards
    mine = local[batches.origins[:, None], batches.choices]
    batch = np.broadcast_to(batches.batch_of_token[:, None], mine.shape)
    share = batches.load[batch, batches.choices] / copies.count[batches.choices]
    stays = (mine >= 0) & (_earlier(batch * size + mine, mine >= 0) < threshold * share)
    spilled = _earlier(batch * experts + batches.choices, ~stays)
    return np.where(stays, mine, copies.first[batches.choices] + spilled % copies.count[batches.choices])


def _earlier(keys: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """How many counted entries of the same key come before each counted entry; 0 for the others."""
    result = np.zeros(keys.shape, np.int64)
    chosen = keys[counted]
    order = np.argsort(chosen, kind="stable")
    ordered = chosen[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    runs = np.diff(np.append(starts, len(ordered)))
    ranks = np.empty(len(chosen), np.int64)
    ranks[order] = np.arange(len(chosen)) - np.repeat(starts, runs)
    result[counted] = ranks
    return result
