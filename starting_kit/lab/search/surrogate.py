"""A cheap stand-in for latency: compute alone, with the devices below the busiest one as a tie-breaker.

Whether the surrogate orders tables as the whole latency does depends on the trace: the lab's README has figures, from a
rank correlation of 0.97 to about 0 where compute is at its bound.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..serving.cost import COMPAT, Preset, replica_tokens
from ..serving.replicas import Replicas
from ..traces.batches import Batches
from .busiest import Busiest

# Weight of the mean square of the devices' time, relative to the mean of the largest one.
SMOOTH = 1e-2


class Blocks:
    """An evaluator of swaps whose objective is mean over batches of the largest compute, in us, plus a smooth term.

    The smooth term, the spread of the devices' compute, leads over the plateaus that whole blocks make.
    """

    def __init__(self, batches: Batches, replicas: Replicas, routed: np.ndarray, preset: Preset = COMPAT) -> None:
        self.slots = replicas.table.shape[1]
        self.slot_of = replicas.slot.copy()
        self.replica_in = np.full(replicas.table.size, -1)
        self.replica_in[replicas.slot] = np.arange(len(replicas.slot))
        self.expert = np.append(replicas.expert, -1)
        time = preset.compute(replica_tokens(batches, replicas, routed)).T
        # The last row stands for an empty slot, whose replica is -1.
        self._time = np.vstack([time, np.zeros((1, batches.count))])
        self._busiest = Busiest(len(replicas.table), replicas.device, time)
        # Without a token there is nothing to spread.
        whole = float(time.sum())
        self._scale = SMOOTH / whole if whole > 0 else 0.0
        self._squares = self._scale * float((self._busiest.device_time**2).sum())
        self.objective = self._objective()

    def _objective(self) -> float:
        return float(self._busiest.compute.mean()) + self._squares

    def _after(self, first: int, second: int) -> tuple[np.ndarray, float]:
        """What the second slot's replica takes more than the first's, [batch], and the change of the smooth term."""
        change = self._time[self.replica_in[second]] - self._time[self.replica_in[first]]
        device_time = self._busiest.device_time
        apart = device_time[:, first // self.slots] - device_time[:, second // self.slots]
        return change, 2 * self._scale * float(change @ (apart + change))

    def delta(self, first: int, second: int, limit: float = np.inf) -> float:
        """Change of the objective when two flat slots exchange their contents."""
        one, other = first // self.slots, second // self.slots
        if one == other:
            return 0.0
        change, smooth = self._after(first, second)
        busiest = self._busiest
        return float((busiest.after(one, other, change) - busiest.compute).mean()) + smooth

    def apply(self, first: int, second: int) -> None:
        """Exchange the contents of two flat slots."""
        one, other = first // self.slots, second // self.slots
        if one != other:
            change, smooth = self._after(first, second)
            self._squares += smooth
            self._busiest.move(one, other, change)
        self.replica_in[[first, second]] = self.replica_in[[second, first]]
        for slot in (first, second):
            if self.replica_in[slot] >= 0:
                self.slot_of[self.replica_in[slot]] = slot
        self.objective = self._objective()


def rank_correlation(cheap: Sequence[float], full: Sequence[float]) -> float:
    """Spearman's: how well the surrogate orders tables as the full simulation does; 1 is the same order, nan none."""

    def ranks(values: Sequence[float]) -> np.ndarray:
        _, place, count = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
        return (np.cumsum(count) - (count - 1) / 2)[place]

    with np.errstate(invalid="ignore"):
        return float(np.corrcoef(ranks(cheap), ranks(full))[0, 1])
