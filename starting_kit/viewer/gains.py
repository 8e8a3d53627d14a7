"""What each redeployment of a layer gained while the layer kept it, and what it cost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from placement.balance import Work, par
from placement.deployment import initial_deployment
from placement.grid import Cost
from placement.replay import Replay
from placement.trace import Trace


@dataclass(frozen=True)
class Gain:
    """An applied layer: it was measured with its new slots in iterations first .. last (from 1), none for first > last.

    par: mean over these with the new slots; par_before: with the slots that the layer had before; None for none.
    """

    call: int
    layer: int
    changed: int
    first: int
    last: int
    par: float | None
    par_before: float | None


@dataclass(frozen=True)
class Prices:
    """Modeled seconds of a point of PAR in one iteration of one layer, and of a changed slot."""

    per_par: float
    per_slot: float

    def gained(self, gain: Gain) -> float:
        """Seconds that a redeployment gained, without what it cost."""
        if gain.par is None:
            return 0.0
        return (gain.par_before - gain.par) * (gain.last - gain.first + 1) * self.per_par

    def paid(self, gain: Gain) -> float:
        """Seconds that a redeployment cost."""
        return gain.changed * self.per_slot


def prices_of(cost: Cost, iterations: int, layers: int) -> Prices:
    """The prices in a case of so many iterations and layers."""
    values = iterations * layers
    return Prices(cost.balanced_compute_seconds / values, cost.expert_bytes / cost.bandwidth_bytes_per_second)


def gains_of(measured: Replay, trace: Trace) -> list[Gain]:
    """The gain of each application, in the order of time: against the slots before, until the layer's next one."""
    case, work = measured.case, Work()
    live = initial_deployment(case.layers, case.experts, case.devices, case.redundant_experts)
    stops, until = [], [len(measured.par)] * case.layers
    for application in reversed(measured.applications):
        stops.append(until[application.layer])
        until[application.layer] = application.iteration
    gains = []
    for application, stop in zip(measured.applications, reversed(stops), strict=True):
        layer, start = application.layer, application.iteration
        means: tuple[float | None, float | None] = (None, None)
        if start < stop:
            hotness, totals = trace.expert_major[layer, :, start:stop], trace.totals[layer, start:stop]
            new = measured.par[start:stop, layer]
            old = par(hotness, totals, live[layer], work) if application.changed else new
            means = float(np.mean(new)), float(np.mean(old))
        gains.append(Gain(application.call, layer, application.changed, start + 1, stop, *means))
        live[layer] = application.rows
    return gains
