"""The cases of a sweep: each trace at every number of devices, of redundant experts, and window that fit it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from placement.grid import MOST_DEVICES, MOST_REDUNDANT, Case

from .trace_file import TraceFile

# Windows that differ by more than this part of a trace get a note: the longer beginning alone adds about as much time.
SLIGHT = 0.01


@dataclass(frozen=True)
class Axes:
    """What a sweep varies; redundant None: as many as devices."""

    ep: Sequence[int]
    redundant: Sequence[int] | None
    window: Sequence[int]


def title(case: Case) -> str:
    """A case of a sweep, with its redundant experts and window, which vary there."""
    return f"{case.model}/{case.dataset} ep {case.ep} +{case.redundant_experts}, window {case.window}"


def cases_of(trace: TraceFile, axes: Axes) -> tuple[list[Case], list[str]]:
    """The cases that fit a trace, and a sentence for each combination that does not, with a note where windows begin
    at too different iterations to compare.
    """
    iterations, layers, experts = trace.shape
    fitting, left_out = [], []
    for ep, window in product(axes.ep, axes.window):
        for redundant in [ep] if axes.redundant is None else axes.redundant:
            case = Case(trace.model, trace.dataset, ep, redundant, layers, experts, window, latency=0)
            if reason := _misfit(case, iterations):
                left_out.append(f"{title(case)}, is left out: {reason}")
            else:
                fitting.append(case)
    return list(dict.fromkeys(fitting)), left_out + _beginnings(trace, [case.window for case in fitting])


def _beginnings(trace: TraceFile, windows: Sequence[int]) -> list[str]:
    """A note where the iterations before the first redeployment differ too much to compare windows; [] where not."""
    iterations, shortest, longest = trace.shape[0], min(windows, default=0), max(windows, default=0)
    if longest - shortest <= SLIGHT * iterations:
        return []
    before = f"of {iterations} iterations {shortest + 2} at window {shortest} and {longest + 2} at window {longest}"
    counted = "every row counts them, so that long windows look worse than on a longer trace"
    return [f"note: {trace.name}: {before} come before the first redeployment; {counted}"]


def _misfit(case: Case, iterations: int) -> str:
    """Why a case cannot be measured; nothing where it can."""
    if case.ep > MOST_DEVICES or case.redundant_experts > MOST_REDUNDANT:
        return f"more than {MOST_DEVICES} devices or {MOST_REDUNDANT} redundant experts"
    if (case.experts + case.redundant_experts) % case.ep:
        return f"{case.ep} does not divide {case.experts} + {case.redundant_experts}"
    if case.ep > case.experts + case.redundant_experts:
        return f"{case.ep} devices for {case.experts + case.redundant_experts} slots"
    return f"{iterations} iterations are less than window + 2" if iterations < case.window + 2 else ""
