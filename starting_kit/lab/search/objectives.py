"""What a search makes small: a figure of the batches' latencies."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from ..traces.statistics import nearest_rank

# A percentile is one batch's latency and stays the same under most swaps: a small part of the mean leads on.
LEAD = 0.01


def mean(latencies: np.ndarray) -> float:
    """Mean latency in us."""
    return float(latencies.mean())


def percentile(latencies: np.ndarray, share: float) -> float:
    """The nearest-rank percentile in us, and LEAD times the mean."""
    return float(nearest_rank(latencies, share)) + LEAD * float(latencies.mean())


# Each objective's figure alone, by which the result is judged.
FIGURES: dict[str, Callable[[np.ndarray], float]] = {
    "mean": mean,
    "p95": partial(nearest_rank, share=0.95),
    "p99": partial(nearest_rank, share=0.99),
}
# What the steps of a search go by.
OBJECTIVES: dict[str, Callable[[np.ndarray], float]] = {
    "mean": mean,
    "p95": partial(percentile, share=0.95),
    "p99": partial(percentile, share=0.99),
}
