"""The compute of the busiest device of each batch, when two devices exchange work."""

from __future__ import annotations

import numpy as np

# Two devices exchange work: when they are the two busiest, one of them stays above all others.
KEPT = 2


class Busiest:
    """Devices' compute in us. device_time: float64 [batch, device]; compute: float64 [batch], of the busiest device."""

    def __init__(self, devices: int, device: np.ndarray, time: np.ndarray) -> None:
        """device: [replica]; time: us [replica, batch]."""
        self.device_time = np.zeros((time.shape[1], max(devices, KEPT)))
        np.add.at(self.device_time.T, device, time)
        self._device = np.zeros((KEPT, time.shape[1]), np.int64)
        self._value = np.zeros((KEPT, time.shape[1]))
        self._rank(np.arange(time.shape[1]))

    @property
    def compute(self) -> np.ndarray:
        """The busiest device's compute in each batch: float64 [batch]."""
        return self._value[0]

    def after(self, one: int, other: int, change: np.ndarray) -> np.ndarray:
        """Compute of each batch when `one` gets the change [batch] that `other` gives away: float64 [batch]."""
        free = (self._device[0] != one) & (self._device[0] != other)
        rest = np.where(free, self._value[0], self._value[1])
        np.maximum(rest, self.device_time[:, one] + change, out=rest)
        return np.maximum(rest, self.device_time[:, other] - change, out=rest)

    def move(self, one: int, other: int, change: np.ndarray) -> None:
        """Keep what `after` foresaw."""
        self.device_time[:, one] += change
        self.device_time[:, other] -= change
        self._rank(np.flatnonzero(change))

    def _rank(self, batches: np.ndarray) -> None:
        """Find the busiest devices of these batches again."""
        time, at = self.device_time[batches], np.arange(len(batches))
        for place in range(KEPT):
            device = time.argmax(axis=1)
            self._device[place, batches], self._value[place, batches] = device, time[at, device]
            time[at, device] = -np.inf
