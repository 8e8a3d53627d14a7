"""The replicas of each expert in a deployment table, in the order in which routers go through them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Replicas:
    """The filled slots of a deployment table, expert by expert.

    table: int64 [device, slot] -> expert, or -1 where a slot is empty; slot, device and expert: int64 [replica], the
    flat slot, device and expert of each replica; first: int64 [expert + 1], where an expert's replicas begin.
    """

    table: np.ndarray
    slot: np.ndarray
    device: np.ndarray
    expert: np.ndarray
    first: np.ndarray

    @property
    def count(self) -> np.ndarray:
        """How many replicas each expert has: int64 [expert]."""
        return np.diff(self.first)

    def device_of(self, routed: np.ndarray) -> np.ndarray:
        """The device that serves each choice, -1 where a token has no expert. routed: from a router, -1 there too."""
        return np.where(routed < 0, -1, self.device[routed])


def order_of(replicas: Replicas) -> np.ndarray:
    """The order that gives the same lists again: int64 [device, slot], for replicas_of."""
    order = np.zeros(replicas.table.size, np.int64)
    order[replicas.slot] = np.arange(len(replicas.slot))
    return order.reshape(replicas.table.shape)


def replicas_of(table: np.ndarray, experts: int, order: np.ndarray | None = None) -> Replicas:
    """List a deployment table's replicas.

    order: ranks [device, slot]; an expert's replicas come in this order, and in that of the slots where there is none.
    Raises ValueError when an expert has no slot, or an id is outside 0 .. experts - 1 (-1: an empty slot).
    """
    flat = np.asarray(table).ravel()
    if flat.min() < -1 or flat.max() >= experts:
        raise ValueError(f"the table holds experts outside 0 .. {experts - 1}")
    ranks = np.arange(flat.size) if order is None else np.asarray(order).ravel()
    slot = np.lexsort((ranks, flat))
    slot = slot[flat[slot] >= 0]
    count = np.bincount(flat[slot], minlength=experts)
    if not count.all():
        raise ValueError(f"experts {np.flatnonzero(count == 0).tolist()} have no slot in the table")
    first = np.concatenate([[0], np.cumsum(count)])
    return Replicas(np.asarray(table), slot, slot // table.shape[1], flat[slot].astype(np.int64), first)
