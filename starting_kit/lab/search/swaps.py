"""Exact delta evaluation of swaps of two slots: a swap touches the tokens of two copies and two devices only.

The router must depend on the lists of copies alone (round robin, whole blocks, capacity): then the tokens of a
copy stay with it wherever it lies, and the order of an expert's copies is kept.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..serving.cost import COMPAT, Preset, copy_tokens
from ..serving.replicas import Copies
from ..serving.torus import Torus
from ..traces.batches import Batches
from .transfers import Transfers


class Swaps:
    """A plan under swaps. Objective: mean latency of the batches in us, as lab.serving.cost.latency has it.

    copies: as they were given; slot_of: int64 [copy], where each copy lies now; copy_in: int64 [flat slot],
    -1 where it is empty; compute: float64 [batch], of the plan as it stands. Raises ValueError for a preset in which
    copies on a device are not independent.
    """

    def __init__(
        self, batches: Batches, copies: Copies, routed: np.ndarray, torus: Torus, preset: Preset = COMPAT
    ) -> None:
        if preset.dense:
            raise ValueError(f"the preset {preset.name} has no delta: all experts of a device compute all its tokens")
        self.batches, self.copies = batches, copies
        self.slots = copies.plan.shape[1]
        self.slot_of = copies.slot.copy()
        self.copy_in = np.full(copies.plan.size, -1)
        self.copy_in[copies.slot] = np.arange(len(copies.slot))
        self._time = np.ascontiguousarray(preset.compute(copy_tokens(batches, copies, routed)).T)
        self._device_time = np.zeros((torus.devices, batches.count))
        np.add.at(self._device_time, copies.device, self._time)
        self.compute = self._device_time.max(axis=0)
        self._transfers = Transfers(batches, copies, routed, torus, preset)

    @property
    def objective(self) -> float:
        """Mean latency of the batches in us."""
        return float((self.compute + self._transfers.dispatch + self._transfers.combine).mean())

    @property
    def plan(self) -> np.ndarray:
        """The plan as it stands: int64 [device, slot]."""
        plan = np.full(self.copies.plan.size, -1, np.int64)
        plan[self.slot_of] = self.copies.expert
        return plan.reshape(self.copies.plan.shape)

    def listed(self) -> Copies:
        """The copies as they lie now, each expert's in the order that was kept."""
        return replace(self.copies, plan=self.plan, slot=self.slot_of.copy(), device=self.slot_of // self.slots)

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
            bound = gained - transfers.most_gained(self.copy_in[first], self.copy_in[second])
            if bound > limit:
                return float(bound)
        dispatch, combine = self._transfers_after(first, second)
        return float(gained + (dispatch + combine - transfers.dispatch - transfers.combine).mean())

    def latencies_after(self, first: int, second: int) -> np.ndarray:
        """Latency of each batch after an exchange, for any other objective: float64 [batch]."""
        if not self._moves(first, second):
            return self.compute + self._transfers.dispatch + self._transfers.combine
        return self._compute_after(first, second) + sum(self._transfers_after(first, second))

    def apply(self, first: int, second: int) -> None:
        """Exchange the contents of two flat slots; the same again takes it back."""
        moved = [copy for copy in (self.copy_in[first], self.copy_in[second]) if copy >= 0]
        if self._moves(first, second):
            self.compute = self._compute_after(first, second)
            self._device_time[first // self.slots] += self._change
            self._device_time[second // self.slots] -= self._change
        self.copy_in[first], self.copy_in[second] = self.copy_in[second], self.copy_in[first]
        for slot in (first, second):
            if self.copy_in[slot] >= 0:
                self.slot_of[self.copy_in[slot]] = slot
        if moved and first // self.slots != second // self.slots:
            self._transfers.move(moved, self.slot_of // self.slots)

    def _moves(self, first: int, second: int) -> bool:
        return first // self.slots != second // self.slots and self.copy_in[first] != self.copy_in[second]

    def _compute_after(self, first: int, second: int) -> np.ndarray:
        one, other = first // self.slots, second // self.slots
        leaving, coming = self.copy_in[first], self.copy_in[second]
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
        return self._transfers.after(self.copy_in[first], self.copy_in[second], one, other)
