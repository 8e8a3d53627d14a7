"""The replay loop of one case: measure, redeploy one layer per iteration, call the policy."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field

import numpy as np

from . import deployment
from .answer import Redeployment, check_answer
from .errors import PolicyError
from .grid import Case
from .measuring import Application, Measuring, measure
from .par_rows import ParRows
from .trace import Hotness

# rebalance(start, stop, deployment, iteration): the policy sees trace.window(start, stop) and the live
# table, and answers (layers_priority, deployment_table), or None to keep the deployment.
Rebalance = Callable[[int, int, np.ndarray, int], "Redeployment | None"]


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


def steps(
    trace: Hotness, case: Case, rebalance: Rebalance, together: list[Measuring] | None = None
) -> Generator[int, None, Replay]:
    """Replay a trace against a policy (iterations count from 1, pages/evaluation.md), and return what was measured.

    Before each call, yields its iteration, and after the last one, the iteration behind the end of a whole trace: what
    has come so far of a list that the trace's cases share is then measured together, with one look at each value.
    The trace must fit the case. Raises PolicyError, with call and iteration, for an answer that breaks a rule, and
    passes on what `rebalance` raises.
    """
    together = [] if together is None else together
    live = deployment.initial_deployment(case.layers, case.experts, case.devices, case.redundant_experts)
    measuring = Measuring(trace, case, live)
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
            measure(trace, [measuring], iteration)
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
    if trace.whole:
        # Whoever goes on first measures all that have come so far.
        together.append(measuring)
        yield trace.iterations + 1
        measure(trace, together, trace.iterations)
        together.clear()
    else:
        measure(trace, [measuring], trace.iterations)
    return Replay(case, measuring.par, calls, priorities, applications, measuring.gains)
