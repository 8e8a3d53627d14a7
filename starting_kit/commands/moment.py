"""A moment: what a policy saw at one call of a case. To find it, the case runs up to that call."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from placement.answer import Redeployment, check_answer
from placement.errors import PolicyError
from placement.grid import Case, Grid
from placement.isolation.interface import PolicyCase, policy_case
from placement.isolation.neighbours import Neighbours
from placement.isolation.process import PolicyProcess
from placement.replay import replay
from placement.traces.files import TraceFolder, manifest_beside

from .options import UsageError


@dataclass(frozen=True)
class Moment:
    """One call: hotness int32 [window, layer, expert], deployment int64 [layer, device, slot], and the call's
    iteration.

    case: the argument of Policy.__init__; answer: the policy's answer where known, None to keep the deployment.
    """

    hotness: np.ndarray
    deployment: np.ndarray
    iteration: int
    case: PolicyCase
    answer: Redeployment | None = None

    def arguments(self) -> tuple[np.ndarray, np.ndarray, int]:
        """The arguments of the call: copies of the arrays, which the policy may change."""
        return self.hotness.copy(), self.deployment.copy(), self.iteration


class Reached(Exception):
    """Raised when the call is reached: the rest of the case is not needed."""


def moments(folder: Path, case: Case, grid: Grid, traces: Path, call: int) -> list[Moment]:
    """The calls 1 .. call of a case; the policy runs in its own process and does not answer the last call.

    Raises UsageError when the case has fewer calls, PolicyError when an earlier call fails, and OrganizerError.
    """
    return _seen(folder, case, grid, traces, call, answered=False)


def answered(folder: Path, case: Case, grid: Grid, traces: Path, call: int | None) -> list[Moment]:
    """The calls 1 .. call of a case (None: all calls) with the policy's answers. Raises as `moments` does."""
    return _seen(folder, case, grid, traces, call, answered=True)


def _seen(folder: Path, case: Case, grid: Grid, traces: Path, call: int | None, answered: bool) -> list[Moment]:
    trace = TraceFolder(traces, manifest_beside(traces, [])).trace_of(case)
    seen: list[Moment] = []
    view = policy_case(case, grid.cost, trace.iterations)
    process = PolicyProcess(folder, case, Neighbours(trace), grid, time.monotonic() + grid.limits.grid_seconds)

    def rebalance(start: int, stop: int, deployment: np.ndarray, iteration: int) -> Redeployment | None:
        hotness, before = trace.window(start, stop), deployment.copy()
        if len(seen) + 1 == call and not answered:
            seen.append(Moment(hotness, before, iteration, view))
            raise Reached
        answer = process.rebalance(start, stop, deployment, iteration)
        if answer is not None:
            check_answer(*answer, case)
        seen.append(Moment(hotness, before, iteration, view, answer))
        if len(seen) == call:
            raise Reached
        return answer

    try:
        with process:
            # What it sees first is the same for every policy, also for one that cannot start.
            if call != 1 or answered:
                process.start()
            replay(trace, case, rebalance)
    except Reached:
        return seen
    except PolicyError as error:
        raise error.at(case.name) from None
    if call is None:
        return seen
    got = f"{'--after' if answered else '--call'} {call}"
    raise UsageError("the case has fewer calls", got, f"1 .. {len(seen)}", "name one of them", case.name)
