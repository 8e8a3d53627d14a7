"""Layers worked side by side, each in a process that holds no more than its own."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from placement.errors import Problem
from placement.evaluation.interruption import die_with_program, end_processes

Result = TypeVar("Result")
_work: Callable[[int], Any] | None = None


def side_by_side(work: Callable[[int], Result], count: int, jobs: int) -> list[Result]:
    """work(0), work(1), ... work(count - 1), at most `jobs` at a time; raises what the first of them raises.

    work may be any function, since the processes are forks; its results are sent back. Where one fails or the command
    is interrupted, the others are killed, and end with the command where that is killed. Raises Problem where one is
    ended from outside, as systems do that lack memory.
    """
    if min(jobs, count) < 2:
        return [work(position) for position in range(count)]
    context = multiprocessing.get_context("fork")
    try:
        with ProcessPoolExecutor(min(jobs, count), context, _begin, (work,)) as pool:
            # Not by map, which calls off what the pool then finds broken.
            futures = [pool.submit(_do, position) for position in range(count)]
            try:
                return [future.result() for future in futures]
            except BaseException:
                # The pool would wait for layers that nobody asks for any more.
                end_processes()
                raise
    # Submitting raises it as well.
    except BrokenProcessPool:
        got, expected = f"no result with --jobs {jobs}", "memory for a layer in each process"
        what, next_step = "a process that worked on a layer was ended from outside", "use a smaller --jobs"
        raise Problem(what, got, expected, next_step) from None


def _begin(work: Callable[[int], Any]) -> None:
    global _work
    die_with_program()
    _work = work


def _do(position: int) -> Any:
    return _work(position)
