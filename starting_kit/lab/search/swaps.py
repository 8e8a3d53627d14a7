"""Exact delta evaluation of swaps of two slots: a swap touches the tokens of two replicas and two devices only.

The router must depend on the lists of replicas alone (round robin, whole blocks, capacity): then the tokens of a
replica stay with it wherever it lies, and the order of an expert's replicas is kept.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..serving.cost import COMPAT, Preset, replica_tokens
from ..serving.replicas import Replicas
from ..serving.torus import Torus
from ..traces.batches import Batches
from .transfers import Transfers


class Swaps:
    """A deployment table under swaps. Objective: mean latency of the batches in us, as lab.serving.cost.latency has it.

    replicas: as they were given; slot_of: int64 [replica], where each replica lies now; replica_in: int64 [flat slot],
    -1 where it is empty; compute: float64 [batch], of the table as it stands. Raises ValueError for a preset in which
    replicas on a device are not independent.
    """

    def __init__(
        self, batches: Batches, replicas: Replicas, routed: np.ndarray, torus: Torus, preset: Preset = COMPAT
    ) -> None:
        if preset.dense:
            raise ValueError(f"the preset {preset.name} has no delta: all experts of a device compute all its tokens")
        self.batches, self.replicas = batches, replicas
        self.slots = replicas.table.shape[1]
        self.slot_of = replicas.slot.copy()
        self.replica_in = np.full(replicas.table.size, -1)
        self.replica_in[replicas.slot] = np.arange(len(replicas.slot))
        self._time = np.ascontiguousarray(preset.compute(replica_tokens(batches, replicas, routed)).T)
        self._device_time = np.zeros((torus.devices, batches.count))
        np.add.at(self._device_time, replicas.device, self._time)
        self.compute = self._device_time.max(axis=0)
        self._transfers = Transfers(batches, replicas, routed, torus, preset)

    @property
    def objective(self) -> float:
        """Mean latency of the batches in us."""
        return float((self.compute + self._transfers.dispatch + self._transfers.combine).mean())

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

        limit: where no value up to it is possible, the answer is a lower bound above it: what compute adds, less all
        that transfers could gain, as the slowest tokens that are not touched stay as slow as they are.
        """
        if not self._moves(first, second):
            return 0.0
        gained = self._compute_after(first, second).mean() - self.compute.mean()
        transfers = self._transfers
        if limit < np.inf:
            bound = gained - transfers.most_gained(self.replica_in[first], self.replica_in[second])
            if bound > limit:
                return float(bound)
        dispatch, combine = self._transfers_after(first, second)
        return float(gained + (dispatch + combine - transfers.dispatch - transfers.combine).mean())

    def apply(self, first: int, second: int) -> None:
        """Exchange the contents of two flat slots; the same again takes it back."""
        moved = [replica for replica in (self.replica_in[first], self.replica_in[second]) if replica >= 0]
        if self._moves(first, second):
            self.compute = self._compute_after(first, second)
            self._device_time[first // self.slots] += self._change
            self._device_time[second // self.slots] -= self._change
        self.replica_in[first], self.replica_in[second] = self.replica_in[second], self.replica_in[first]
        for slot in (first, second):
            if self.replica_in[slot] >= 0:
                self.slot_of[self.replica_in[slot]] = slot
        if moved and first // self.slots != second // self.slots:
            self._transfers.move(moved, self.slot_of // self.slots)

    def _moves(self, first: int, second: int) -> bool:
        return first // self.slots != second // self.slots and self.replica_in[first] != self.replica_in[second]

    def _compute_after(self, first: int, second: int) -> np.ndarray:
        one, other = first // self.slots, second // self.slots
        leaving, coming = self.replica_in[first], self.replica_in[second]
        self._change = (self._time[coming] if coming >= 0 else 0.0) - (self._time[leaving] if leaving >= 0 else 0.0)
        kept = self._device_time[[one, other]]
        self._device_time[one] += self._change
        self._device_time[other] -= self._change
        result = self._device_time.max(axis=0)
        self._device_time[[one, other]] = kept
        return result

    def _transfers_after(self, first: int, second: int) -> tuple[np.ndarray, np.ndarray]:
        """Dispatch and combine of each batch after an exchange: float64 [batch] each."""
        one, other = first // self.slots, second // self.slots
        return self._transfers.after(self.replica_in[first], self.replica_in[second], one, other)
