"""The replay loop of one case: measure, redeploy one layer per iteration, call the policy."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, field

import numpy as np

from . import balance, deployment
from .answer import Redeployment, check_answer
from .errors import PolicyError
from .grid import Case
from .par_rows import ParRows
from .roll_out import gain, waiting
from .trace import Hotness

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
    where it declined; applications: in the order of time; gains: of each of them, as roll_out.gain has it, where the
    trace is not whole.
    """

    case: Case
    par: np.ndarray | ParRows
    calls: list[int]
    priorities: list[tuple[int, ...]]
    applications: list[Application]
    gains: list[float] = field(default_factory=list)

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


def replay(trace: Hotness, case: Case, rebalance: Rebalance) -> Replay:
    """Replay a trace against a policy: `steps`, one after the other."""
    turns = steps(trace, case, rebalance)
    while True:
        try:
            next(turns)
        except StopIteration as end:
            return end.value


def steps(trace: Hotness, case: Case, rebalance: Rebalance) -> Generator[int, None, Replay]:
    """Replay a trace against a policy (iterations count from 1, pages/evaluation.md), and return what was measured.

    Before each call, yields its iteration. The trace must fit the case. Raises PolicyError, with call and iteration,
    for an answer that breaks a rule, and passes on what `rebalance` raises.
    """
    live = deployment.initial_deployment(case.layers, case.experts, case.devices, case.redundant_experts)
    measuring = _Measuring(trace, case, live)
    # A table of a long trace is kept for every application.
    kind = live.dtype if trace.whole else np.min_scalar_type(case.experts - 1)
    calls: list[int] = []
    priorities: list[tuple[int, ...]] = []
    applications: list[Application] = []
    finish = 0
    while (iteration := finish + case.window + 1) <= trace.iterations:
        yield iteration
        calls.append(iteration)
        if not trace.whole:
            # While what was passed is held; all in one is quicker.
            measuring.until(iteration)
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
            rows = table[layer].astype(kind)
            changed = deployment.changed_slots(live[layer], rows)
            applications.append(Application(len(calls), finish, layer, changed, rows))
            live[layer] = rows
            measuring.apply(applications[-1], iteration)
    measuring.until(trace.iterations)
    return Replay(case, measuring.par, calls, priorities, applications, measuring.gains)


class _Measuring:
    """PAR of the piecewise constant deployment, up to some iteration; gains: of what was applied by then."""

    def __init__(self, trace: Hotness, case: Case, initial: np.ndarray) -> None:
        self.par, self.gains = trace.new_par(), []
        self._trace, self._case, self._work = trace, case, balance.Work()
        # The rows that each layer has, from an iteration on.
        self._segments = [[(0, rows)] for rows in initial.copy()]
        self._waiting: deque[tuple[Application, int]] = deque()
        self._done = 0

    def apply(self, application: Application, call: int) -> None:
        """Take new rows, which count from the next iteration on; call: the iteration of theirs."""
        self._segments[application.layer].append((application.iteration, application.rows))
        if not self._trace.whole:
            self._waiting.append((application, call))

    def until(self, stop: int) -> None:
        """Measure all iterations up to `stop`: nothing may be applied any more before it."""
        for first, last in self._trace.spans(self._done, stop):
            block = np.empty((last - first, len(self._segments)))
            for layer, segments in enumerate(self._segments):
                ends = [start for start, _ in segments[1:]] + [stop]
                for (begin, rows), end in zip(segments, ends, strict=True):
                    start, until = max(begin, first), min(end, last)
                    if start < until:
                        hotness, totals = self._trace.stretch(layer, start, until)
                        block[start - first : until - first, layer] = balance.par(hotness, totals, rows, self._work)
            self.par[first:last] = block
        self._done = stop
        # The last rows from before it count on.
        self._segments = [segments[-1:] for segments in self._segments]
        while self._waiting and self._waiting[0][0].iteration <= stop:
            application, call = self._waiting.popleft()
            seen = waiting(self._case, self._trace.iterations, call, application.iteration)
            old = self.par[seen][:, application.layer]
            self.gains.append(gain(self._trace, old, application.layer, seen, application.rows, self._work))
