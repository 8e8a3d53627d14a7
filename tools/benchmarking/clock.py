"""Processor seconds of a function, as the median of several calls, on one core; and of the processes it starts."""

from __future__ import annotations

import os
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def median_seconds(function: Callable[[], object], times: int) -> float:
    """Median processor seconds of `times` calls in this process; what each call returns is freed before the next.

    On a quiet machine that is the wall clock's time of one thread; on a busy one it leaves out the waiting.
    """
    seconds = []
    for _ in range(times):
        began = time.process_time()
        result = function()
        seconds.append(time.process_time() - began)
        del result
    return statistics.median(seconds)


def children_seconds() -> float:
    """Processor seconds so far of the processes that this one started and that have ended, and of theirs."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


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
