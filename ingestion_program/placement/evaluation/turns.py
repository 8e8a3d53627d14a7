"""The cases of a trace take turns by iteration: no case has seen an iteration that another still has before it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from ..grid import Case, Grid
from ..isolation.neighbours import Neighbours
from ..isolation.template import Template
from ..together import as_they_end
from ..trace import Hotness
from .case_run import Outcome, case_steps


def run_cases(
    folder: Path,
    cases: Sequence[Case],
    open_trace: Callable[[], Hotness],
    grid: Grid,
    deadline: float,
    template: Template | None = None,
) -> Iterator[Outcome]:
    """Run a trace's cases at the same time, one policy after the other, and yield their outcomes as they end.

    template: of the policies' processes, by default one for this trace alone.
    All policies start first; then calls are served in order of iteration, those of one iteration in the cases' order.
    Raises OrganizerError where the grid requires a layer of isolation that the machine lacks, and passes on what
    `open_trace` raises.
    """
    neighbours, together = Neighbours(template=template), []
    with ExitStack() as open_cases:
        turns = [case_steps(folder, case, neighbours, grid, deadline, together) for case in cases]
        for case in turns:
            # Where something goes wrong, no policy's process is left.
            open_cases.enter_context(closing(case))
        # Here the template begins to start, beside the opening, where it is this trace's alone.
        iterations = [next(case) for case in turns]
        neighbours.trace = open_trace()
        for _, outcome in as_they_end(turns, iterations):
            yield outcome
