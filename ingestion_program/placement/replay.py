"""The replay loop of one case: measure, redeploy one layer per iteration, call the policy."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass

import numpy as np

from . import balance, deployment
from .answer import Redeployment, check_answer
from .errors import PolicyError
from .grid import Case
from .trace import Trace

# rebalance(start, stop, deployment, iteration): the policy sees trace.window(start, stop) and the live
# table, and answers (layers_priority, deployment_table), or None to keep the deployment.
Rebalance = Callable[[int, int, np.ndarray, int], "Redeployment | None"]


@dataclass(frozen=True)
class Application:
    """One layer's redeployment: its new rows count from iteration `iteration + 1` on."""

    call: int
    iteration: int
    layer: int
    changed: int
    rows: np.ndarray


@dataclass(frozen=True)
class Replay:
    """What a case measured.

    par: float64 [iteration, layer]; calls: iteration of each call; priorities: the layers that each call listed, none
    where it declined; applications: in the order of time.
    """

    case: Case
    par: np.ndarray
    calls: list[int]
    priorities: list[tuple[int, ...]]
    applications: list[Application]

    @property
    def listed(self) -> list[int]:
        """How many layers each call listed."""
        return [len(priority) for priority in self.priorities]

    @property
    def transmit_amount(self) -> int:
        return sum(application.changed for application in self.applications)

    def transmit(self) -> np.ndarray:
        """Transmit amount of each iteration, int64 [iteration]."""
        amounts = np.zeros(len(self.par), np.int64)
        for application in self.applications:
            amounts[application.iteration - 1] += application.changed
        return amounts

    def rows_at(self, layer: int, iteration: int) -> np.ndarray:
        """The rows [device, slot] with which a layer was measured in an iteration (from 1)."""
        case = self.case
        rows = deployment.initial_deployment(1, case.experts, case.devices, case.redundant_experts)[0]
        for application in self.applications:
            if application.layer == layer and application.iteration < iteration:
                rows = application.rows
        return rows


def replay(trace: Trace, case: Case, rebalance: Rebalance) -> Replay:
    """Replay a trace against a policy: `steps`, one after the other."""
    turns = steps(trace, case, rebalance)
    while True:
        try:
            next(turns)
        except StopIteration as end:
            return end.value


def steps(trace: Trace, case: Case, rebalance: Rebalance) -> Generator[int, None, Replay]:
    """Replay a trace against a policy (iterations count from 1, pages/evaluation.md), and return what was measured.

    Before each call, yields its iteration. The trace must fit the case. Raises PolicyError, with call and iteration,
    for an answer that breaks a rule, and passes on what `rebalance` raises.
    """
    initial = deployment.initial_deployment(case.layers, case.experts, case.devices, case.redundant_experts)
    live = initial.copy()
    calls: list[int] = []
    priorities: list[tuple[int, ...]] = []
    applications: list[Application] = []
    finish = 0
    while (iteration := finish + case.window + 1) <= trace.iterations:
        yield iteration
        calls.append(iteration)
        try:
            answer = rebalance(iteration - case.window, iteration, live.copy(), iteration)
            if answer is not None and not len(answer[0]):
                answer = None
            if answer is not None:
                check_answer(*answer, case)
        except PolicyError as error:
            raise error.at(f"call {len(calls)} (iteration {iteration})") from None
        finish = iteration
        priorities.append(() if answer is None else tuple(answer[0].tolist()))
        if answer is None:
            continue
        _, table = answer
        finish += case.latency
        for layer in priorities[-1]:
            finish += 1
            if finish > trace.iterations:
                break
            rows = table[layer].copy()
            changed = deployment.changed_slots(live[layer], rows)
            applications.append(Application(len(calls), finish, layer, changed, rows))
            live[layer] = rows
    return Replay(case, _measure(trace, initial, applications), calls, priorities, applications)


def _measure(trace: Trace, initial: np.ndarray, applications: list[Application]) -> np.ndarray:
    """PAR [iteration, layer] of the piecewise constant deployment."""
    segments = [[(0, rows)] for rows in initial]
    for application in applications:
        segments[application.layer].append((application.iteration, application.rows))
    par, work = np.empty((trace.iterations, len(initial))), balance.Work()
    for layer, pieces in enumerate(segments):
        stops = [start for start, _ in pieces[1:]] + [trace.iterations]
        for (start, rows), stop in zip(pieces, stops, strict=True):
            hotness, totals = trace.expert_major[layer, :, start:stop], trace.totals[layer, start:stop]
            par[start:stop, layer] = balance.par(hotness, totals, rows, work)
    return par
