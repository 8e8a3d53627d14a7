"""Seconds of a function, as the median of several calls, on one core."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def median_seconds(function: Callable[[], object], times: int) -> float:
    """Median wall-clock seconds of `times` calls; what each call returns is freed before the next."""
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        result = function()
        seconds.append(time.perf_counter() - began)
        del result
    return statistics.median(seconds)


@contextmanager
def one_core() -> Iterator[None]:
    """Keep the calling thread on one core, where the system can; afterwards it may use those that it could before."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)
