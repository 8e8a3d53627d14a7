"""Exact delta evaluation of swaps of two slots: a swap touches the tokens of two copies and two devices only.

The router must depend on the lists of copies alone (round robin, whole blocks, capacity): then the tokens of a copy
stay with it wherever it lies, and the order of an expert's copies is kept.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from ..serving.cost import COMPAT, Preset, copy_tokens
from ..serving.replicas import Copies
from ..serving.torus import Torus
from ..traces.batches import Batches

Pair = tuple[np.ndarray, np.ndarray]
# Tokens of a batch that bound what a swap can gain.
SLOW = 4


class Swaps:
    """A plan's state under swaps. Objective: mean latency of the batches in us, as lab.serving.cost.latency has it.

    copies: as they were given; slot_of: int64 [copy], where each copy lies now; compute, dispatch, combine: float64
    [batch], of the plan as it stands. Raises ValueError for a preset in which copies on a device are not independent.
    """

    def __init__(
        self, batches: Batches, copies: Copies, routed: np.ndarray, torus: Torus, preset: Preset = COMPAT
    ) -> None:
        if preset.dense:
            raise ValueError(f"the preset {preset.name} has no delta: all experts of a device compute all its tokens")
        self.batches, self.copies, self.torus = batches, copies, torus
        self.slots = copies.plan.shape[1]
        self.slot_of = copies.slot.copy()
        self.copy_in = np.full(copies.plan.size, -1)
        self.copy_in[copies.slot] = np.arange(len(copies.slot))
        self._routed = routed
        self._starts = batches.starts[:-1]
        self._time = np.ascontiguousarray(preset.compute(copy_tokens(batches, copies, routed)).T)
        self._device_time = np.zeros((torus.devices, batches.count))
        np.add.at(self._device_time, copies.device, self._time)
        self._list_tokens()
        self._tabulate(preset)
        self._measure_tokens()

    @property
    def objective(self) -> float:
        """Mean latency of the batches in us."""
        return float((self.compute + self.dispatch + self.combine).mean())

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
        compute = self._compute_after(first, second)
        gained = compute.mean() - self.compute.mean()
        if limit < np.inf and (bound := gained - self._most_gained(first, second)) > limit:
            return float(bound)
        dispatch, combine = self._transfers_after(first, second)
        return float(gained + (dispatch + combine - self.dispatch - self.combine).mean())

    def _most_gained(self, first: int, second: int) -> float:
        """An upper bound of what an exchange can take off dispatch and combine, mean over batches, in us."""
        # Where all of them are touched, the least time stands in.
        stays = self._untouched(first, second)
        return float((self._slow_times[:, 0] - self._slow_times[self._slow_rows, stays]).sum() / self.batches.count)

    def latencies_after(self, first: int, second: int) -> np.ndarray:
        """Latency of each batch after an exchange, for any other objective: float64 [batch]."""
        if not self._moves(first, second):
            return self.compute + self.dispatch + self.combine
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
            self._measure_tokens(np.unique(np.concatenate([self._tokens[copy] for copy in moved])))

    def _moves(self, first: int, second: int) -> bool:
        return first // self.slots != second // self.slots and self.copy_in[first] != self.copy_in[second]

    def _compute_after(self, first: int, second: int) -> np.ndarray:
        one, other = first // self.slots, second // self.slots
        if one == other:
            return self.compute
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
        sides = [
            (c, a, b) for c, a, b in ((self.copy_in[first], one, other), (self.copy_in[second], other, one)) if c >= 0
        ]
        values = [self._changed(copy, a, b) for copy, a, b in sides]
        if len(sides) == 2:
            self._keep_both(*(copy for copy, _, _ in sides), *values)
        untouched = self._untouched(first, second)
        after = self._slow_times[self._slow_rows, untouched].reshape(2, -1)
        for (copy, _, _), own in zip(sides, values, strict=True):
            batches, starts = self._own_batches[copy], self._own_starts[copy]
            for result, part in zip(after, own, strict=True):
                result[batches] = np.maximum(result[batches], np.maximum.reduceat(part, starts))
        for place in np.flatnonzero(untouched == SLOW):
            part, batch = divmod(int(place), self.batches.count)
            after[part, batch] = max(after[part, batch], self._rest(part, batch, [copy for copy, _, _ in sides]))
        return after[0], after[1]

    def _untouched(self, first: int, second: int) -> np.ndarray:
        """Where each batch's slowest token without either copy stands, SLOW where none is: dispatch, then combine."""
        leaving, coming = self.copy_in[first], self.copy_in[second]
        return ((self._slow_copies == leaving) | (self._slow_copies == coming)).any(axis=2).argmin(axis=1)

    def _keep_both(self, one: int, other: int, values: Pair, other_values: Pair) -> None:
        """A token that both copies serve has one choice on each device before and after: its times stay."""
        self._mark[self._tokens[one]] = True
        both = np.flatnonzero(self._mark.take(self._tokens[other]))
        self._mark[self._tokens[one]] = False
        if len(both):
            tokens = self._tokens[other][both]
            at = np.searchsorted(self._tokens[one], tokens)
            for part, current in enumerate((self._dispatch, self._combine)):
                values[part][at] = other_values[part][both] = current[tokens]

    def _rest(self, part: int, batch: int, copies: list[int]) -> float:
        """The slowest token of a batch that none of the copies serves."""
        own = slice(self.batches.starts[batch], self.batches.starts[batch + 1])
        for copy in copies:
            self._mark[self._tokens[copy]] = True
        rest = (self._dispatch, self._combine)[part][own][~self._mark[own]]
        for copy in copies:
            self._mark[self._tokens[copy]] = False
        return float(rest.max(initial=self._least))

    def _changed(self, copy: int, source: int, target: int) -> tuple[np.ndarray, np.ndarray]:
        """Dispatch and combine of a copy's tokens, one choice of which moves from a device to another."""
        torus, tokens = self.torus, self._tokens[copy]
        number = self._in_largest.take(tokens)
        if source % torus.cols != target % torus.cols:
            leaves = self._in_column[source % torus.cols].take(tokens)
            alone = (leaves == number) & (self._largest_count.take(tokens) == 1)
            number = np.maximum(number - alone, self._in_column[target % torus.cols].take(tokens) + 1)
        devices = self._devices.take(tokens)
        devices = devices - (self._on_device[source].take(tokens) == 1) + (self._on_device[target].take(tokens) == 0)
        hops, far = self._hop_sum.take(tokens), self._farthest.take(tokens)
        if source // torus.cols != target // torus.cols:
            left = self._hops[source // torus.cols].take(self._origins[copy])
            come = self._hops[target // torus.cols].take(self._origins[copy])
            hops = hops - left + come
            lost = np.flatnonzero((left == far) & (self._farthest_count.take(tokens) == 1))
            if len(lost):
                table = self._at_hop[:, tokens[lost]]
                table[far[lost], np.arange(len(lost))] = 0
                far[lost] = len(table) - 1 - (table[::-1] > 0).argmax(axis=0)
                far[lost[~table.any(axis=0)]] = 0
            far = np.maximum(far, come)
        place = hops * self._hop_sizes[1] + far
        return self._times.take(number * self._hop_sizes[0] + place), self._times.take(
            devices * self._hop_sizes[0] + place
        )

    def _list_tokens(self) -> None:
        """The tokens of each copy, ascending, and where its batches begin among them."""
        flat = self._routed.ravel()
        order = np.argsort(flat, kind="stable")
        tokens = order // self._routed.shape[1]
        bounds = np.searchsorted(flat[order], np.arange(len(self.copies.slot) + 1))
        self._tokens = [tokens[a:b] for a, b in pairwise(bounds)]
        found = [np.unique(self.batches.batch_of_token[own], return_index=True) for own in self._tokens]
        self._own_batches, self._own_starts = [b for b, _ in found], [s for _, s in found]
        self._mark = np.zeros(len(self._routed), bool)
        self._origins = [self.batches.origins[own] for own in self._tokens]

    def _tabulate(self, preset: Preset) -> None:
        """Transfer times by (experts in a column or devices, sum of hops, largest hop)."""
        k, farthest = self._routed.shape[1], self.torus.rows // 2
        axes = (np.arange(k + 2), np.arange(k * farthest + 1), np.arange(farthest + 1))
        number, hops, largest = (axis.ravel() for axis in np.meshgrid(*axes, indexing="ij"))
        self._times = preset.transfer(number, hops / k, largest, self.torus)
        self._hop_sizes = (len(axes[1]) * len(axes[2]), len(axes[2]))
        # No dispatch or combine is shorter than that of one expert in the token's own row.
        self._least = float(self._times.reshape(k + 2, -1)[1:].min())
        tokens = len(self._routed)
        self._on_device = np.zeros((self.torus.devices, tokens), np.uint8)
        self._in_column = np.zeros((self.torus.cols, tokens), np.int32)
        self._at_hop = np.zeros((farthest + 1, tokens), np.uint8)
        self._in_largest, self._largest_count, self._devices = np.zeros((3, tokens), np.int32)
        self._hop_sum, self._farthest, self._farthest_count = np.zeros((3, tokens), np.int32)
        self._hops = self.torus.hops.astype(np.int32)
        self._dispatch, self._combine = np.zeros((2, tokens))
        self.compute = self._device_time.max(axis=0)

    def _measure_tokens(self, tokens: np.ndarray | None = None) -> None:
        """Count and time tokens, all of them or some, from where their copies lie."""
        tokens = np.arange(len(self._routed)) if tokens is None else tokens
        device = self.slot_of[self._routed[tokens]] // self.slots
        hops = self.torus.hops[self.batches.origins[tokens][:, None], device // self.torus.cols]
        for table, values in (
            (self._on_device, device),
            (self._in_column, device % self.torus.cols),
            (self._at_hop, hops),
        ):
            counts = np.zeros((len(table), len(tokens)), table.dtype)
            for place in values.T:
                counts[place, np.arange(len(tokens))] += 1
            table[:, tokens] = counts
        columns = self._in_column[:, tokens]
        largest = columns.max(axis=0)
        self._in_largest[tokens], self._largest_count[tokens] = largest, (columns == largest).sum(axis=0)
        self._devices[tokens] = np.count_nonzero(self._on_device[:, tokens], axis=0)
        self._hop_sum[tokens], self._farthest[tokens] = hops.sum(axis=1), hops.max(axis=1)
        self._farthest_count[tokens] = self._at_hop[self._farthest[tokens], tokens]
        place = self._hop_sum[tokens] * self._hop_sizes[1] + self._farthest[tokens]
        self._dispatch[tokens] = self._times[largest * self._hop_sizes[0] + place]
        self._combine[tokens] = self._times[self._devices[tokens] * self._hop_sizes[0] + place]
        self.dispatch = np.maximum.reduceat(self._dispatch, self._starts)
        self.combine = np.maximum.reduceat(self._combine, self._starts)
        slow = np.concatenate([self._slowest(self._dispatch), self._slowest(self._combine)])
        half = self.batches.count
        times = np.concatenate([self._dispatch[slow[:half]], self._combine[slow[half:]]])
        self._slow_times = np.hstack([times, np.full((2 * half, 1), self._least)])
        untouched = np.full((2 * half, 1, self._routed.shape[1]), -2)
        self._slow_copies = np.concatenate([self._routed[slow], untouched], axis=1)
        self._slow_rows = np.arange(2 * half)

    def _slowest(self, values: np.ndarray) -> np.ndarray:
        """The SLOW tokens with the largest values of each batch, in falling order: int64 [batch, SLOW]."""
        found = []
        for begin, end in pairwise(self.batches.starts):
            own = begin + np.argpartition(-values[begin:end], min(SLOW, end - begin) - 1)[:SLOW]
            own = own[np.argsort(-values[own], kind="stable")]
            found.append(np.append(own, np.full(SLOW - len(own), own[-1])))
        return np.array(found)
