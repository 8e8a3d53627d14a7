"""PAR of deployments that change as a replay goes on, measured for one case or for several in one pass."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from . import balance
from .grid import Case
from .roll_out import gain, waiting
from .trace import Hotness


@dataclass(frozen=True)
class Application:
    """One layer's redeployment: its new rows count from iteration `iteration + 1` on."""

    call: int
    iteration: int
    layer: int
    changed: int
    rows: np.ndarray


class Measuring:
    """PAR of a case's piecewise constant deployment, up to some iteration; gains: of what was applied by then."""

    def __init__(self, trace: Hotness, case: Case, initial: np.ndarray) -> None:
        self.par, self.gains = trace.new_par(), []
        self._trace, self._case, self._work = trace, case, balance.Work()
        self.done = 0
        # Of each layer: from which iterations on (from 0), and the rows that it has from there on.
        self._starts = [[0] for _ in initial]
        self._rows = [[rows] for rows in initial.copy()]
        self._waiting: deque[tuple[Application, int]] = deque()

    def apply(self, application: Application, call: int) -> None:
        """Take new rows, which count from the next iteration on; call: the iteration of theirs."""
        self._starts[application.layer].append(application.iteration)
        self._rows[application.layer].append(application.rows)
        if not self._trace.whole:
            self._waiting.append((application, call))

    def starts(self, layer: int, first: int, last: int) -> list[int]:
        """From which iterations on, between first and last, a layer has other rows."""
        starts = self._starts[layer]
        return starts[bisect_right(starts, first) : bisect_left(starts, last)]

    def rows_at(self, layer: int, iteration: int) -> np.ndarray:
        """The rows [device, slot] that a layer has in an iteration (from 0), as far as they are known."""
        return self._rows[layer][bisect_right(self._starts[layer], iteration) - 1]

    def end(self, stop: int) -> None:
        """Everything up to iteration `stop` is measured: of the rows from before, the last of each layer count on."""
        self.done = stop
        self._starts, self._rows = ([kept[-1:] for kept in lists] for lists in (self._starts, self._rows))
        while self._waiting and self._waiting[0][0].iteration <= stop:
            application, call = self._waiting.popleft()
            seen = waiting(self._case, self._trace.iterations, call, application.iteration)
            old = self.par[seen][:, application.layer]
            self.gains.append(gain(self._trace, old, application.layer, seen, application.rows, self._work))


def measure(trace: Hotness, cases: Sequence[Measuring], stop: int) -> None:
    """Measure iterations up to `stop`, of cases that were measured up to the same one; each value is looked at once.

    No rows may be taken any more that count before `stop`.
    """
    done, work = max((case.done for case in cases), default=stop), balance.Work()
    for first, last in trace.spans(done, stop):
        blocks = [np.empty((last - first, trace.layers)) for _ in cases]
        for layer in range(trace.layers):
            changes = {start for case in cases for start in case.starts(layer, first, last)}
            for begin, end in pairwise(sorted({first, last} | changes)):
                tables = [case.rows_at(layer, begin) for case in cases]
                measured = balance.pars(*trace.stretch(layer, begin, end), tables, work)
                for block, values in zip(blocks, measured, strict=True):
                    block[begin - first : end - first, layer] = values
        for case, block in zip(cases, blocks, strict=True):
            case.par[first:last] = block
    for case in cases:
        case.end(stop)
