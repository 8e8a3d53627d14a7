"""One case of a trusted policy, measured in this process: the same calls and the same numbers as with the sandbox."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from placement.answer import Redeployment
from placement.errors import PolicyError
from placement.grid import Case, Cost
from placement.isolation.exception_steps import next_step
from placement.isolation.exception_text import describe
from placement.isolation.interface import load_policy, policy_case
from placement.parts import fixed_par
from placement.replay import Replay, replay
from placement.results import mean_par
from placement.trace import Trace

MEASURES = (
    *("mean_par", "fixed_par", "balancedness", "par_p50", "par_p95", "par_p99"),
    *("transmit_amount", "largest_transmit", "calls"),
)
PERCENTS = (50, 95, 99)


def measured(folder: Path, case: Case, trace: Trace, cost: Cost) -> dict[str, Any]:
    """A case's status, its MEASURES (None where it failed), policy_seconds, and the fields of its failure.

    folder: holds policy.py, and is this process's own: the policy is loaded here, and nothing is taken back.
    """
    seconds: list[float] = []
    numbers, failure = dict.fromkeys(MEASURES), None
    try:
        call = _timed(seconds, folder, "start", lambda: load_policy(folder, policy_case(case, cost, trace.iterations)))

        def rebalance(start: int, stop: int, deployment: np.ndarray, iteration: int) -> Redeployment | None:
            arguments = trace.window(start, stop), deployment, iteration
            return _timed(seconds, folder, "", lambda: call.call(*arguments))

        numbers = numbers_of(replay(trace, case, rebalance))
    except PolicyError as error:
        failure = error
    status = failure.status if failure else "ok"
    spent = {"policy_seconds": round(sum(seconds), 3)}
    return {"status": status} | numbers | spent | {"failure": failure and failure.fields()}


def failed_row(failure: Mapping[str, str]) -> dict[str, Any]:
    """The row of a case whose process ended without one."""
    return {"status": "crashed"} | dict.fromkeys(MEASURES) | {"policy_seconds": None, "failure": dict(failure)}


def numbers_of(done: Replay) -> dict[str, Any]:
    """MEASURES of a replay; percentiles are nearest-rank over all iterations and layers, balancedness is 1 / mean_par.

    fixed_par: what of mean_par above 1 the iterations before the first redeployment add; largest_transmit: the most
    entries that the redeployment of one call changed.
    """
    ordered = np.sort(done.par, axis=None)
    percentiles = [round(float(ordered[-(-percent * ordered.size // 100) - 1]), 12) for percent in PERCENTS]
    by_call = np.zeros(len(done.calls) + 1, np.int64)
    for application in done.applications:
        by_call[application.call] += application.changed
    par = mean_par(done.par)
    parts = (par, round(fixed_par(done.par, done.case), 12), round(1 / par, 12))
    values = (*parts, *percentiles, done.transmit_amount, int(by_call.max()), len(done.calls))
    return dict(zip(MEASURES, values, strict=True))


def _timed(seconds: list[float], folder: Path, place: str, act: Any) -> Any:
    """What `act` returns, its seconds booked; whatever the policy raises in it becomes a PolicyError."""
    began = time.monotonic()
    try:
        return act()
    except PolicyError as error:
        raise (error.at(place) if place else error) from None
    except MemoryError as error:
        what, step = "the policy ran out of memory", "use less memory"
        raise PolicyError("out_of_memory", what, describe(error, folder), "", step, place) from None
    except BaseException as error:
        got = describe(error, folder)
        raise PolicyError("crashed", "the policy raised an exception", got, "", next_step(error), place) from None
    finally:
        seconds.append(time.monotonic() - began)
