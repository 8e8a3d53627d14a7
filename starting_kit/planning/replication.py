"""How many replicas each expert gets."""

from __future__ import annotations

import numpy as np

BLOCK = 32
# Then a level is known to a part in 10^7, and hardly a replica is left to be given one by one.
BISECTIONS = 24


def replicas_by_load(load: np.ndarray, slots: int) -> np.ndarray:
    """Give the redundant experts one by one to the expert with the largest load per replica.

    load: not negative, [expert] or [layer, expert]; slots: one for each expert, and those of the redundant ones.
    Returns int64 of the same shape, each layer summing to slots; the largest load per replica is the least possible.
    Ties go to the lower id. For replicas by risk, plan for Forecast.weights. Raises ValueError for fewer slots than
    experts.
    """
    load = np.asarray(load, np.float64)
    redundant = _redundant(load.shape[-1], slots)
    layers = load.reshape(-1, load.shape[-1])
    replicas = _filled(layers, redundant)
    share, left = layers / replicas, slots - replicas.sum(axis=1)
    while (going := np.flatnonzero(left)).size:
        heaviest = share[going].argmax(axis=1)
        replicas[going, heaviest] += 1
        share[going, heaviest] = layers[going, heaviest] / replicas[going, heaviest]
        left[going] -= 1
    return replicas.reshape(load.shape)


def _filled(load: np.ndarray, redundant: int) -> np.ndarray:
    """The replicas that surely come before all others: int64 [layer, expert], at least 1 each.

    Water-filling: above a level, an expert gets a replica for every load / 1, load / 2, load / 3 ... that reaches the
    level. Bisection finds the lowest level that `redundant` replicas are enough for.
    """
    whole = np.maximum(load.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    low, high = whole / (redundant + load.shape[1]), 2 * whole / max(redundant, 1)
    exact = np.zeros(whole.shape, bool)
    for _ in range(BISECTIONS):
        level = (low + high) / 2
        given = np.floor(load / level).sum(axis=1, keepdims=True)
        low, high = np.where(given > redundant, level, low), np.where(given > redundant, high, level)
        exact |= given == redundant
        if exact.all():
            break
    # A hair above the level, where rounding cannot let in what lies below.
    return 1 + np.floor(load / (high * (1 + 1e-12))).astype(np.int64)


def replicas_by_blocks(load: np.ndarray, slots: int, block: int = BLOCK, share: float = 0.95) -> np.ndarray:
    """The same by blocks of tokens, of batches that are near the worst: the most blocks per replica are split first.

    load: tokens [batch, expert]; share: which quantile over batches of an expert's blocks is planned for, as the
    fullest replica of all decides a batch's time, and some expert is always above its mean. Ties go to the larger mean
    load. The split by load is returned where its fullest replicas take fewer whole blocks, in the mean of the batches.
    Returns int64 [expert]. Raises ValueError for fewer slots than experts.
    """
    load = np.atleast_2d(np.asarray(load))
    blocks, mean = np.ceil(load / block), load.mean(axis=0)
    tie = 1e-6 / max(mean.max(), 1e-300)
    splits = replicas_by_load(np.quantile(blocks, share, axis=0) + tie * mean, slots), replicas_by_load(mean, slots)
    return min(splits, key=lambda replicas: np.ceil(blocks / replicas).max(axis=1).mean())


def one_more(load: np.ndarray, slots: int) -> np.ndarray:
    """One replica more for each of the hottest experts, in turn: what the published simulator does.

    load: [expert]. Returns int64 [expert]. Raises ValueError for fewer slots than experts.
    """
    redundant = _redundant(len(load), slots)
    order = np.argsort(-np.asarray(load), kind="stable")
    return 1 + np.bincount(order[np.arange(redundant) % len(load)], minlength=len(load))


def robust_load(load: np.ndarray, how: str = "mean", alpha: float = 0.0) -> np.ndarray:
    """The load to plan for: float64 [expert].

    load: [batch, expert]; how: "mean", "mean_std" (mean + alpha * standard deviation) or "p95". Raises ValueError for
    another word.
    """
    load = np.asarray(load, np.float64)
    if how == "mean":
        return load.mean(axis=0)
    if how == "mean_std":
        return load.mean(axis=0) + alpha * load.std(axis=0)
    if how == "p95":
        return np.quantile(load, 0.95, axis=0)
    raise ValueError(f"load is taken as mean, mean_std or p95, got {how!r}")


def _redundant(experts: int, slots: int) -> int:
    if slots < experts:
        raise ValueError(f"{slots} slots cannot hold {experts} experts; expected at least one slot for each")
    return slots - experts
