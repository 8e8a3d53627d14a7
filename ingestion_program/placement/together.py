"""Turns by iteration: what goes along one trace together reads each part of it at nearly the same time."""

from __future__ import annotations

import heapq
from collections.abc import Generator, Sequence
from typing import TypeVar

Result = TypeVar("Result")


def take_turns(steps: Sequence[Generator[int, None, Result]]) -> list[Result]:
    """Advance generators, each of which yields the iteration it is going to, in order of iteration; what they return.

    Those of one iteration are advanced in their own order.
    """
    ended: dict[int, Result] = {}
    waiting = [(0, number) for number in range(len(steps))]
    while waiting:
        _, number = waiting[0]
        try:
            heapq.heapreplace(waiting, (next(steps[number]), number))
        except StopIteration as end:
            heapq.heappop(waiting)
            ended[number] = end.value
    return [ended[number] for number in range(len(steps))]
