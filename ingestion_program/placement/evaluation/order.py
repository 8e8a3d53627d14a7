"""In which order traces are begun: the heavy ones first, and so that all jobs end at nearly the same time."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from itertools import combinations

from ..grid import Case

# Of more, every exchange of two would take longer than it saves; heavy ones first is then nearly even by itself.
MOST = 40


def weight(cases: Sequence[Case]) -> int:
    """About how long a trace takes with its cases, which are of one model: opening it takes as long as a case."""
    return (1 + len(cases)) * cases[0].layers * cases[0].experts


def order(weights: Sequence[int], jobs: int) -> list[int]:
    """The numbers of all weights, in the order in which `jobs` that take the next one when they are free begin them."""
    # One job ends when it ends, and keeps to the grid's order.
    best = sorted(range(len(weights)), key=lambda number: -weights[number] if jobs > 1 else 0)
    ends, better = _end(weights, best, jobs), jobs > 1 and len(weights) <= MOST
    while better:
        better = False
        for one, other in combinations(range(len(best)), 2):
            tried = best.copy()
            tried[one], tried[other] = best[other], best[one]
            if (end := _end(weights, tried, jobs)) < ends:
                best, ends, better = tried, end, True
    return best


def _end(weights: Sequence[int], numbers: Sequence[int], jobs: int) -> int:
    """When the last of the jobs ends."""
    free = [0] * jobs
    for number in numbers:
        heapq.heapreplace(free, free[0] + weights[number])
    return max(free)
