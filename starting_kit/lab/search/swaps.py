"""Exact delta evaluation of swaps of two slots: a swap touches the tokens of two replicas and two devices only.

The router must depend on the lists of replicas alone (round robin, whole blocks, capacity): then the tokens of a
replica stay with it wherever it lies, and the order of an expert's replicas is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..serving.cost import COMPAT, Preset, replica_tokens
from ..serving.replicas import Replicas
from ..serving.torus import Torus
from ..traces.batches import Batches
from .busiest import Busiest
from .objectives import mean
from .transfers import Transfers


class Swaps:
    """A deployment table under swaps. Objective: latency of the batches in us, as lab.serving.cost.latency has it.

    replicas: as they were given; measure: latencies [batch] -> objective, which must not fall when a latency rises
    (objectives.py); slot_of: int64 [replica], where each replica lies now; replica_in: int64 [flat slot], -1 where it
    is empty. Raises ValueError for a preset in which replicas on a device are not independent.
    """

    def __init__(
        self,
        batches: Batches,
        replicas: Replicas,
        routed: np.ndarray,
        torus: Torus,
        preset: Preset = COMPAT,
        measure: Callable[[np.ndarray], float] = mean,
    ) -> None:
        if preset.dense:
            raise ValueError(f"the preset {preset.name} has no delta: all experts of a device compute all its tokens")
        self.batches, self.replicas, self.routed = batches, replicas, routed
        self.torus, self.preset, self.measure = torus, preset, measure
        self.slots = replicas.table.shape[1]
        self.slot_of = replicas.slot.copy()
        self.replica_in = np.full(replicas.table.size, -1)
        self.replica_in[replicas.slot] = np.arange(len(replicas.slot))
        self.expert = np.append(replicas.expert, -1)
        self.tokens = replica_tokens(batches, replicas, routed)
        time = preset.compute(self.tokens).T
        # The last row stands for an empty slot, whose replica is -1.
        self.time = np.vstack([time, np.zeros((1, batches.count))])
        self.busiest = Busiest(len(replicas.table), replicas.device, time)
        self.transfers = Transfers(batches, replicas, routed, torus, preset)
        self.objective = self.measure(self.latencies)

    @property
    def latencies(self) -> np.ndarray:
        """The batches' latencies in us: float64 [batch]."""
        return self.busiest.compute + self.transfers.times.sum(axis=0)

    @property
    def table(self) -> np.ndarray:
        """The deployment table as it stands: int64 [device, slot]."""
        table = np.full(self.replicas.table.size, -1, np.int64)
        table[self.slot_of] = self.replicas.expert
        return table.reshape(self.replicas.table.shape)

    def listed(self) -> Replicas:
        """The replicas as they lie now, each expert's in the order that was kept."""
        return replace(self.replicas, table=self.table, slot=self.slot_of.copy(), device=self.slot_of // self.slots)

    def delta(self, first: int, second: int, limit: float = np.inf) -> float:
        """Change of the objective in us when the contents of two flat slots are exchanged; one may be empty.

        limit: where no value up to it is possible, the answer is a lower bound above it: what compute then is, and the
        slowest tokens that are not touched, which stay as slow as they are.
        """
        if not self._moves(first, second):
            return 0.0
        one, other = first // self.slots, second // self.slots
        leaving, coming = self.replica_in[first], self.replica_in[second]
        compute = self.busiest.after(one, other, self.time[coming] - self.time[leaving])
        bound = self.transfers.untouched(leaving, coming)
        if limit < np.inf:
            least = self.measure(compute + bound[0].sum(axis=0)) - self.objective
            if least > limit:
                return least
        times = self.transfers.after(leaving, coming, one, other, bound)
        return self.measure(compute + times.sum(axis=0)) - self.objective

    def apply(self, first: int, second: int) -> None:
        """Exchange the contents of two flat slots; the same again takes it back."""
        one, other = first // self.slots, second // self.slots
        leaving, coming = self.replica_in[first], self.replica_in[second]
        self.replica_in[first], self.replica_in[second] = coming, leaving
        for slot in (first, second):
            if self.replica_in[slot] >= 0:
                self.slot_of[self.replica_in[slot]] = slot
        if one != other and leaving != coming:
            self.busiest.move(one, other, self.time[coming] - self.time[leaving])
            moved = [(r, a, b) for r, a, b in ((leaving, one, other), (coming, other, one)) if r >= 0]
            self.transfers.move(moved, self.slot_of // self.slots)
            self.objective = self.measure(self.latencies)

    def _moves(self, first: int, second: int) -> bool:
        return first // self.slots != second // self.slots and self.replica_in[first] != self.replica_in[second]
