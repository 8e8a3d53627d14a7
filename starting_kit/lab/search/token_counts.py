"""Where each token's choices are served, counted by device, column and hops: what dispatch and combine depend on."""

from __future__ import annotations

import numpy as np

from ..serving.cost import Preset
from ..serving.torus import Torus
from ..traces.batches import Batches


class TokenCounts:
    """Counts of every token. least: us, no dispatch or combine is shorter.

    Where a method takes tokens and origins, the origins are those of the tokens, the rows that they come from.
    """

    def __init__(
        self, batches: Batches, routed: np.ndarray, torus: Torus, preset: Preset, device_of_replica: np.ndarray
    ) -> None:
        self._origins, self._routed, self._torus = batches.origins, routed, torus
        self._tabulate(preset)
        self._count_all(device_of_replica)

    def times(self, tokens: np.ndarray) -> np.ndarray:
        """Dispatch and combine of tokens as they are counted, in us: float64 [2, token]."""
        kept = (self._in_largest, self._devices, self._hop_sum, self._farthest)
        return self._looked_up(*(counted.take(tokens) for counted in kept))

    def changed(self, tokens: np.ndarray, origins: np.ndarray, source: int, target: int) -> np.ndarray:
        """Dispatch and combine in us, [2, token], if one choice of each token moved from a device to another."""
        torus = self._torus
        number = self._in_largest.take(tokens)
        if source % torus.cols != target % torus.cols:
            number -= self._alone.take(tokens) == source % torus.cols
            np.maximum(number, self._in_column[target % torus.cols].take(tokens) + np.int32(1), out=number)
        devices = self._devices.take(tokens)
        devices -= self._on_device[source].take(tokens) == 1
        devices += self._on_device[target].take(tokens) == 0
        hops, far = self._hop_sum.take(tokens), self._farthest.take(tokens)
        if source // torus.cols != target // torus.cols:
            left = self._hops[source // torus.cols].take(origins)
            come = self._hops[target // torus.cols].take(origins)
            far = np.maximum(np.where(left == far, self._next_far.take(tokens), far), come)
            hops += come - left
        return self._looked_up(number, devices, hops, far)

    def move(
        self, tokens: np.ndarray, origins: np.ndarray, source: int, target: int, device_of_replica: np.ndarray
    ) -> None:
        """Move one choice of each token from a device to another. device_of_replica: where replicas lie afterwards."""
        cols = self._torus.cols
        left, come = self._on_device[source].take(tokens) - 1, self._on_device[target].take(tokens) + 1
        self._on_device[source, tokens], self._on_device[target, tokens] = left, come
        self._devices[tokens] += (come == 1).astype(np.int32) - (left == 0)
        if source % cols != target % cols:
            self._in_column[source % cols, tokens] -= 1
            self._in_column[target % cols, tokens] += 1
            self._settle_columns(tokens)
        if source // cols != target // cols:
            left, come = (self._hops[device // cols].take(origins) for device in (source, target))
            far, next_far = self._farthest.take(tokens), self._next_far.take(tokens)
            self._hop_sum[tokens] += come - left
            self._farthest[tokens] = np.maximum(far, come)
            self._next_far[tokens] = np.maximum(np.minimum(far, come), next_far)
            # Where one of the two largest hops went, the third is asked for.
            again = tokens[left >= next_far]
            hops = self._hops_of(again, device_of_replica)
            self._farthest[again], self._next_far[again] = hops[:, -1], hops[:, -2]

    def _settle_columns(self, tokens: np.ndarray) -> None:
        """The most choices in a column, and the only column that has as many, or -1."""
        columns = self._in_column.take(tokens, axis=1)
        largest = columns.max(axis=0)
        most = columns == largest
        self._in_largest[tokens] = largest
        self._alone[tokens] = np.where(np.count_nonzero(most, axis=0) == 1, most.argmax(axis=0), -1)

    def _hops_of(self, tokens: np.ndarray, device_of_replica: np.ndarray) -> np.ndarray:
        """Hops of each token's choices in rising order, after a 0 that stands in where there is one choice."""
        row = (device_of_replica // self._torus.cols)[self._routed[tokens]]
        hops = self._hops[self._origins[tokens][:, None], row]
        return np.sort(np.hstack([np.zeros((len(tokens), 1), hops.dtype), hops]), axis=1)

    def _looked_up(self, number: np.ndarray, devices: np.ndarray, hops: np.ndarray, far: np.ndarray) -> np.ndarray:
        place = hops * self._hop_sizes[1] + far
        times = np.empty((2, len(place)))
        times[0] = self._times.take(number * self._hop_sizes[0] + place)
        times[1] = self._times.take(devices * self._hop_sizes[0] + place)
        return times

    def _tabulate(self, preset: Preset) -> None:
        """Transfer times by (experts in a column or devices, sum of hops, largest hop)."""
        k, farthest = self._routed.shape[1], self._torus.rows // 2
        axes = (np.arange(k + 2), np.arange(k * farthest + 1), np.arange(farthest + 1))
        number, hops, largest = (axis.ravel() for axis in np.meshgrid(*axes, indexing="ij"))
        self._times = preset.transfer(number, hops / k, largest, self._torus)
        self._hop_sizes = (len(axes[1]) * len(axes[2]), len(axes[2]))
        # No dispatch or combine is shorter than that of one expert in the token's own row.
        self.least = float(self._times.reshape(k + 2, -1)[1:].min())
        self._hops = self._torus.hops.astype(np.int32)

    def _count_all(self, device_of_replica: np.ndarray) -> None:
        count = len(self._routed)
        self._on_device = np.zeros((self._torus.devices, count), np.uint8)
        self._in_column = np.zeros((self._torus.cols, count), np.uint8)
        everything = np.arange(count)
        for place in device_of_replica[self._routed].T:
            self._on_device[place, everything] += 1
            self._in_column[place % self._torus.cols, everything] += 1
        self._in_largest, self._alone, self._devices = np.zeros((3, count), np.int32)
        self._hop_sum, self._farthest, self._next_far = np.zeros((3, count), np.int32)
        self._devices[:] = np.count_nonzero(self._on_device, axis=0)
        self._settle_columns(everything)
        hops = self._hops_of(everything, device_of_replica)
        self._hop_sum[:], self._farthest[:], self._next_far[:] = hops.sum(axis=1), hops[:, -1], hops[:, -2]
