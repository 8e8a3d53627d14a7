"""Mean, p95 and p99 of batches, and how sure they are: intervals from batches drawn again (the bootstrap)."""

from __future__ import annotations

import numpy as np

from ..traces.statistics import nearest_rank

STATISTICS = {"mean": None, "p50": 0.5, "p95": 0.95, "p99": 0.99}
# Draws at a time, so that many batches need little memory.
BLOCK = 256


def statistic(values: np.ndarray, name: str) -> np.ndarray:
    """The mean or a percentile by nearest rank over the last axis.

    name: of STATISTICS. Raises KeyError for another.
    """
    share = STATISTICS[name]
    if share is None:
        return values.mean(axis=-1)
    return nearest_rank(values, share)


def batches_for_bound(name: str, confidence: float = 0.95) -> int:
    """How many values it takes until their largest is above a percentile with (1 + confidence) / 2; a mean: 1.

    With fewer no value seen bounds the percentile, whatever the distribution: all are below it with share ** count.
    Source: order statistics, which are binomial.
    """
    share = STATISTICS[name]
    return 1 if share is None else int(np.ceil(np.log((1 - confidence) / 2) / np.log(share)))


def resampled(values: np.ndarray, name: str, draws: int, seed: int) -> np.ndarray:
    """A statistic of as many batches, drawn with replacement: float64 [..., draw].

    values: [..., batch]. Every row meets the same draws, so rows can be subtracted: batches are paired. Source: Efron,
    the percentile bootstrap.
    """
    count, result = values.shape[-1], []
    rng = np.random.default_rng(seed)
    for first in range(0, draws, BLOCK):
        drawn = rng.integers(count, size=(min(BLOCK, draws - first), count))
        result.append(statistic(values[..., drawn], name))
    return np.concatenate(result, axis=-1)


def interval(samples: np.ndarray, confidence: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """The ends between which the middle `confidence` of the samples lies, over the last axis."""
    low, high = np.quantile(samples, [(1 - confidence) / 2, (1 + confidence) / 2], axis=-1)
    return low, high
