"""Seconds of a function, as the median of several calls."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def median_seconds(function: Callable[[], object], times: int) -> float:
    """Median wall-clock seconds of `times` calls; what each call returns is freed before the next."""
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        result = function()
        seconds.append(time.perf_counter() - began)
        del result
    return statistics.median(seconds)
