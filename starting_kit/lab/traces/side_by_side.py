"""Layers worked side by side, each in a process that holds no more than its own."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

Result = TypeVar("Result")
_work: Callable[[int], Any] | None = None


def side_by_side(work: Callable[[int], Result], count: int, jobs: int) -> list[Result]:
    """work(0), work(1), ... work(count - 1), at most `jobs` at a time; raises what the first of them raises.

    work may be any function, since the processes are forks; its results are sent back.
    """
    if min(jobs, count) < 2:
        return [work(position) for position in range(count)]
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(min(jobs, count), context, _begin, (work,)) as pool:
        return list(pool.map(_do, range(count)))


def _begin(work: Callable[[int], Any]) -> None:
    global _work
    _work = work


def _do(position: int) -> Any:
    return _work(position)
