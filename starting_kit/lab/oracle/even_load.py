"""The objective of the oracles of load: the largest device load of a sample, each replica with an even part."""

from __future__ import annotations

import numpy as np

from ..serving.measures import even_loads


class EvenLoad:
    """A table under swaps of two slots, whose objective is even_par: an evaluator for `search`."""

    def __init__(self, table: np.ndarray, load: np.ndarray) -> None:
        flat = np.asarray(table).ravel()
        replicas = np.flatnonzero(flat >= 0)
        self.slots = table.shape[1]
        self.slot_of = replicas.copy()
        self.replica_in = np.full(flat.size, -1)
        self.replica_in[replicas] = np.arange(len(replicas))
        self.expert = np.append(flat[replicas], -1)
        load = np.asarray(load, np.float64)
        count = np.bincount(flat[replicas], minlength=len(load))
        mean = max(load.sum(), 1e-300) / len(table)
        self._weight = [*(load / np.maximum(count, 1) / mean)[flat[replicas]].tolist(), 0.0]
        self._carried = (even_loads(table, load) / mean).tolist()
        self.objective = max(self._carried)

    @property
    def table(self) -> np.ndarray:
        """The table as it stands: int64 [device, slot]."""
        return self.expert[self.replica_in].reshape(-1, self.slots)

    def _after(self, first: int, second: int) -> list[float]:
        weight, carried = self._weight, self._carried.copy()
        more = weight[self.replica_in[second]] - weight[self.replica_in[first]]
        carried[first // self.slots] += more
        carried[second // self.slots] -= more
        return carried

    def delta(self, first: int, second: int, limit: float = np.inf) -> float:
        """Change of the objective when two flat slots exchange their contents."""
        return max(self._after(first, second)) - self.objective

    def apply(self, first: int, second: int) -> None:
        """Exchange the contents of two flat slots."""
        self._carried = self._after(first, second)
        self.replica_in[[first, second]] = self.replica_in[[second, first]]
        for slot in (first, second):
            if self.replica_in[slot] >= 0:
                self.slot_of[self.replica_in[slot]] = slot
        self.objective = max(self._carried)
