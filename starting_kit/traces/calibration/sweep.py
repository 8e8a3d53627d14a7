"""The policies of published figures on a sample of a model's layers, as the replay of all its layers would have it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from placement import balance
from placement.deployment import initial_deployment
from placement.ds_eplb import ds_eplb
from placement.trace import Trace

from .published import Curve, Policy

# A point of a published curve is the mean of so many iterations.
POINT = 10


class Measured(NamedTuple):
    """mean_par over all layers and iterations; transmit_amount, scaled from the sample to all layers."""

    mean_par: float
    transmit_amount: float


def sampled_layers(layers: int, count: int) -> np.ndarray:
    """`count` of a model's layers at equal distances, the middles of as many parts."""
    return ((np.arange(count) + 0.5) * layers / count).astype(int)


class Sweep:
    """A trace whose layers stand for a model of `layers`: they are its `sampled_layers`.

    The calls come when all layers would have been redeployed, one per iteration, and each sampled layer has its turn
    when it would have had it among all. With all layers it is the simulator's replay.
    """

    def __init__(self, trace: Trace, layers: int) -> None:
        self.trace, self.layers = trace, layers
        self.position = sampled_layers(layers, trace.layers)
        # By ep, as every policy begins with that.
        self._static: dict[int, np.ndarray] = {}

    def measure(self, policy: Policy) -> Measured:
        """What the simulator would measure of the policy."""
        if not policy.window:
            return Measured(float(self._static_par(policy.ep).mean()), 0.0)
        par, changed = self._replay(policy, self.trace.iterations)
        return Measured(float(par.mean()), changed)

    def curve(self, curve: Curve) -> np.ndarray:
        """Mean PAR of the sampled layers at a published curve's points: float64 [point]."""
        firsts = np.rint(np.array(curve.iterations) - POINT / 2).astype(int)
        stop = min(int(firsts.max()) + POINT, self.trace.iterations)
        par = self._replay(curve.policy, stop)[0] if curve.policy.window else self._static_par(curve.policy.ep)
        mean = par.mean(axis=0)
        return np.array([mean[first : first + POINT].mean() for first in firsts])

    def _static_par(self, ep: int) -> np.ndarray:
        if ep not in self._static:
            rows = initial_deployment(1, self.trace.experts, ep)[0]
            par = [self._par(layer, rows, 0, self.trace.iterations) for layer in range(self.trace.layers)]
            self._static[ep] = np.stack(par)
        return self._static[ep]

    def _replay(self, policy: Policy, stop: int) -> tuple[np.ndarray, float]:
        """PAR [layer, iteration < stop], and slots changed, scaled to all layers."""
        trace, starts, tables = self.trace, [], []
        finish = 0
        while (iteration := finish + policy.window + 1) <= stop and not (policy.name == "once" and tables):
            hotness = trace.expert_major[:, :, iteration - policy.window : iteration]
            tables.append(ds_eplb(hotness.sum(axis=2, dtype=np.int64), policy.ep, policy.ep))
            # What is applied in iteration n (from 1) counts from index n (from 0) on.
            starts.append(np.minimum(iteration + policy.latency + 1 + self.position, stop + 1))
            finish = iteration + policy.latency + self.layers
        par, changed = self._static_par(policy.ep)[:, :stop].copy(), 0
        live, last = initial_deployment(trace.layers, trace.experts, policy.ep), np.full(trace.layers, stop)
        for start, end, table in zip(starts, [*starts, last][1:], tables, strict=True):
            for layer in np.flatnonzero(start <= stop):
                changed += np.count_nonzero(table[layer] != live[layer])
                piece = slice(start[layer], min(end[layer], stop))
                par[layer, piece] = self._par(layer, table[layer], piece.start, piece.stop)
            live = table
        return par, float(changed) * self.layers / trace.layers

    def _par(self, layer: int, rows: np.ndarray, start: int, stop: int) -> np.ndarray:
        return balance.par(self.trace.expert_major[layer, :, start:stop], self.trace.totals[layer, start:stop], rows)
