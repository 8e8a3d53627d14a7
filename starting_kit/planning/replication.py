"""How many replicas each expert gets."""

from __future__ import annotations

import numpy as np

BLOCK = 32


def replicas_by_load(load: np.ndarray, slots: int) -> np.ndarray:
    """Give the redundant experts one by one to the expert with the largest load per replica.

    load: [expert]; slots: one for each expert, and those of the redundant ones. Returns int64 [expert], summing to
    slots; the largest load per replica is the least possible. Ties go to the lower id. Raises ValueError for fewer
    slots than experts.
    """
    load = np.asarray(load, np.float64)
    redundant = _redundant(len(load), slots)
    replicas = np.ones(len(load), np.int64)
    share = load.copy()
    for _ in range(redundant):
        heaviest = int(share.argmax())
        replicas[heaviest] += 1
        share[heaviest] = load[heaviest] / replicas[heaviest]
    return replicas


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
