"""Turns by iteration: what goes along one trace together reads each part of it at nearly the same time."""

from __future__ import annotations

import heapq
from collections.abc import Generator, Iterator, Sequence
from typing import TypeVar

Result = TypeVar("Result")


def take_turns(steps: Sequence[Generator[int, None, Result]]) -> list[Result]:
    """Advance generators, each of which yields the iteration it is going to, in order of iteration; what they return.

    Those of one iteration are advanced in their own order.
    """
    ended = dict(as_they_end(steps, [0] * len(steps)))
    return [ended[number] for number in range(len(steps))]


def as_they_end(
    steps: Sequence[Generator[int, None, Result]], iterations: Sequence[int]
) -> Iterator[tuple[int, Result]]:
    """Advance generators as `take_turns` does, from the iterations that they go to; each one's number and what it
    returns, as they end.
    """
    waiting = [(iteration, number) for number, iteration in enumerate(iterations)]
    heapq.heapify(waiting)
    while waiting:
        _, number = waiting[0]
        try:
            heapq.heapreplace(waiting, (next(steps[number]), number))
        except StopIteration as end:
            heapq.heappop(waiting)
            yield number, end.value
