"""Dispatch and combine of every token, and of every batch, when two replicas change places.

Of each batch the slowest tokens are kept at hand: one that a swap does not touch stays as slow as it is, so that most
swaps look at the tokens of the two replicas alone.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ..serving.cost import Preset
from ..serving.replicas import Replicas
from ..serving.torus import Torus
from ..traces.batches import Batches

Pair = tuple[np.ndarray, np.ndarray]
# Tokens of a batch that bound what a swap can gain.
SLOW = 4


class Transfers:
    """The times of tokens where their replicas lie now. dispatch, combine: us, float64 [batch], of the slowest tokens.

    Where a method takes replicas, -1 stands for an empty slot.
    """

    def __init__(self, batches: Batches, replicas: Replicas, routed: np.ndarray, torus: Torus, preset: Preset) -> None:
        self._batches, self._torus, self._routed = batches, torus, routed
        self._list_tokens(len(replicas.slot))
        self._tabulate(preset)
        self._measure(np.arange(len(routed)), replicas.device)

    def most_gained(self, leaving: int, coming: int) -> float:
        """An upper bound of what an exchange of two replicas can take off both, mean over batches, in us."""
        # Where all of them are touched, the least time stands in.
        stays = self._untouched(leaving, coming)
        return float((self._slow_times[:, 0] - self._slow_times[self._slow_rows, stays]).sum() / self._batches.count)

    def after(self, leaving: int, coming: int, one: int, other: int) -> Pair:
        """Dispatch and combine of each batch after an exchange: float64 [batch] each.

        leaving: the replica that goes from device `one` to device `other`; coming: the one that goes back.
        """
        sides = [(r, a, b) for r, a, b in ((leaving, one, other), (coming, other, one)) if r >= 0]
        values = [self._changed(replica, a, b) for replica, a, b in sides]
        if len(sides) == 2:
            self._keep_both(leaving, coming, *values)
        untouched = self._untouched(leaving, coming)
        after = self._slow_times[self._slow_rows, untouched].reshape(2, -1)
        for (replica, _, _), times in zip(sides, values, strict=True):
            batches, starts = self._batches_of[replica], self._starts_of[replica]
            for result, part in zip(after, times, strict=True):
                result[batches] = np.maximum(result[batches], np.maximum.reduceat(part, starts))
        for place in np.flatnonzero(untouched == SLOW):
            part, batch = divmod(int(place), self._batches.count)
            after[part, batch] = max(after[part, batch], self._rest(part, batch, [replica for replica, _, _ in sides]))
        return after[0], after[1]

    def move(self, moved: list[int], device: np.ndarray) -> None:
        """Measure the tokens of replicas that were moved. device: int64 [replica], where every replica lies now."""
        self._measure(np.unique(np.concatenate([self._tokens[replica] for replica in moved])), device)

    def _untouched(self, leaving: int, coming: int) -> np.ndarray:
        """Where each batch's slowest token without either replica stands, SLOW for none: dispatch, then combine."""
        return ((self._slow_replicas == leaving) | (self._slow_replicas == coming)).any(axis=2).argmin(axis=1)

    def _keep_both(self, one: int, other: int, values: Pair, other_values: Pair) -> None:
        """A token that both replicas serve has one choice on each device before and after: its times stay."""
        self._mark[self._tokens[one]] = True
        both = np.flatnonzero(self._mark.take(self._tokens[other]))
        self._mark[self._tokens[one]] = False
        if len(both):
            tokens = self._tokens[other][both]
            at = np.searchsorted(self._tokens[one], tokens)
            for part, current in enumerate((self._dispatch, self._combine)):
                values[part][at] = other_values[part][both] = current[tokens]

    def _rest(self, part: int, batch: int, replicas: list[int]) -> float:
        """The slowest token of a batch that none of the replicas serves."""
        tokens = slice(self._batches.starts[batch], self._batches.starts[batch + 1])
        for replica in replicas:
            self._mark[self._tokens[replica]] = True
        rest = (self._dispatch, self._combine)[part][tokens][~self._mark[tokens]]
        for replica in replicas:
            self._mark[self._tokens[replica]] = False
        return float(rest.max(initial=self._least))

    def _changed(self, replica: int, source: int, target: int) -> Pair:
        """Dispatch and combine of a replica's tokens, one choice of which moves from a device to another."""
        torus, tokens = self._torus, self._tokens[replica]
        number = self._in_largest.take(tokens)
        if source % torus.cols != target % torus.cols:
            leaves = self._in_column[source % torus.cols].take(tokens)
            alone = (leaves == number) & (self._largest_count.take(tokens) == 1)
            number = np.maximum(number - alone, self._in_column[target % torus.cols].take(tokens) + 1)
        devices = self._devices.take(tokens)
        devices = devices - (self._on_device[source].take(tokens) == 1) + (self._on_device[target].take(tokens) == 0)
        hops, far = self._hop_sum.take(tokens), self._farthest.take(tokens)
        if source // torus.cols != target // torus.cols:
            left = self._hops[source // torus.cols].take(self._origins[replica])
            come = self._hops[target // torus.cols].take(self._origins[replica])
            hops = hops - left + come
            lost = np.flatnonzero((left == far) & (self._farthest_count.take(tokens) == 1))
            if len(lost):
                counts = self._at_hop[:, tokens[lost]]
                counts[far[lost], np.arange(len(lost))] = 0
                far[lost] = len(counts) - 1 - (counts[::-1] > 0).argmax(axis=0)
                far[lost[~counts.any(axis=0)]] = 0
            far = np.maximum(far, come)
        place = hops * self._hop_sizes[1] + far
        return self._times.take(number * self._hop_sizes[0] + place), self._times.take(
            devices * self._hop_sizes[0] + place
        )

    def _list_tokens(self, replicas: int) -> None:
        """The tokens of each replica, ascending, and where its batches begin among them."""
        flat = self._routed.ravel()
        order = np.argsort(flat, kind="stable")
        bounds = np.searchsorted(flat[order], np.arange(replicas + 1))
        tokens = order // self._routed.shape[1]
        self._tokens = [tokens[a:b] for a, b in pairwise(bounds)]
        batch_of = self._batches.batch_of_token
        firsts = [np.unique(batch_of[tokens], return_index=True) for tokens in self._tokens]
        self._batches_of, self._starts_of = [batches for batches, _ in firsts], [starts for _, starts in firsts]
        self._mark = np.zeros(len(self._routed), bool)
        self._origins = [self._batches.origins[tokens] for tokens in self._tokens]

    def _tabulate(self, preset: Preset) -> None:
        """Transfer times by (experts in a column or devices, sum of hops, largest hop)."""
        k, farthest = self._routed.shape[1], self._torus.rows // 2
        axes = (np.arange(k + 2), np.arange(k * farthest + 1), np.arange(farthest + 1))
        number, hops, largest = (axis.ravel() for axis in np.meshgrid(*axes, indexing="ij"))
        self._times = preset.transfer(number, hops / k, largest, self._torus)
        self._hop_sizes = (len(axes[1]) * len(axes[2]), len(axes[2]))
        # No dispatch or combine is shorter than that of one expert in the token's own row.
        self._least = float(self._times.reshape(k + 2, -1)[1:].min())
        tokens = len(self._routed)
        self._on_device = np.zeros((self._torus.devices, tokens), np.uint8)
        self._in_column = np.zeros((self._torus.cols, tokens), np.int32)
        self._at_hop = np.zeros((farthest + 1, tokens), np.uint8)
        self._in_largest, self._largest_count, self._devices = np.zeros((3, tokens), np.int32)
        self._hop_sum, self._farthest, self._farthest_count = np.zeros((3, tokens), np.int32)
        self._hops = self._torus.hops.astype(np.int32)
        self._dispatch, self._combine = np.zeros((2, tokens))

    def _measure(self, tokens: np.ndarray, device_of_replica: np.ndarray) -> None:
        """Count and time tokens from where their replicas lie."""
        device = device_of_replica[self._routed[tokens]]
        hops = self._torus.hops[self._batches.origins[tokens][:, None], device // self._torus.cols]
        for stored, values in (
            (self._on_device, device),
            (self._in_column, device % self._torus.cols),
            (self._at_hop, hops),
        ):
            counts = np.zeros((len(stored), len(tokens)), stored.dtype)
            for place in values.T:
                counts[place, np.arange(len(tokens))] += 1
            stored[:, tokens] = counts
        columns = self._in_column[:, tokens]
        largest = columns.max(axis=0)
        self._in_largest[tokens], self._largest_count[tokens] = largest, (columns == largest).sum(axis=0)
        self._devices[tokens] = np.count_nonzero(self._on_device[:, tokens], axis=0)
        self._hop_sum[tokens], self._farthest[tokens] = hops.sum(axis=1), hops.max(axis=1)
        self._farthest_count[tokens] = self._at_hop[self._farthest[tokens], tokens]
        place = self._hop_sum[tokens] * self._hop_sizes[1] + self._farthest[tokens]
        self._dispatch[tokens] = self._times[largest * self._hop_sizes[0] + place]
        self._combine[tokens] = self._times[self._devices[tokens] * self._hop_sizes[0] + place]
        starts, count = self._batches.starts[:-1], self._batches.count
        self.dispatch = np.maximum.reduceat(self._dispatch, starts)
        self.combine = np.maximum.reduceat(self._combine, starts)
        slow = np.concatenate([self._slowest(self._dispatch), self._slowest(self._combine)])
        times = np.concatenate([self._dispatch[slow[:count]], self._combine[slow[count:]]])
        self._slow_times = np.hstack([times, np.full((2 * count, 1), self._least)])
        untouched = np.full((2 * count, 1, self._routed.shape[1]), -2)
        self._slow_replicas = np.concatenate([self._routed[slow], untouched], axis=1)
        self._slow_rows = np.arange(2 * count)

    def _slowest(self, values: np.ndarray) -> np.ndarray:
        """The SLOW tokens with the largest values of each batch, in falling order: int64 [batch, SLOW]."""
        slowest = []
        for begin, end in pairwise(self._batches.starts):
            tokens = begin + np.argpartition(-values[begin:end], min(SLOW, end - begin) - 1)[:SLOW]
            tokens = tokens[np.argsort(-values[tokens], kind="stable")]
            slowest.append(np.append(tokens, np.full(SLOW - len(tokens), tokens[-1])))
        return np.array(slowest)
