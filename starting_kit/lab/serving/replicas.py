"""The copies of each expert in a plan, in the order in which routers go through them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Copies:
    """The filled slots of a plan, expert by expert.

    plan: int64 [device, slot] -> expert, or -1 where a slot is empty; slot, device and expert: int64 [copy], the flat
    slot, device and expert of each copy; first: int64 [expert + 1], where an expert's copies begin.
    """

    plan: np.ndarray
    slot: np.ndarray
    device: np.ndarray
    expert: np.ndarray
    first: np.ndarray

    @property
    def count(self) -> np.ndarray:
        """How many copies each expert has: int64 [expert]."""
        return np.diff(self.first)


def order_of(copies: Copies) -> np.ndarray:
    """The order that gives the same lists again: int64 [device, slot], for copies_of."""
    order = np.zeros(copies.plan.size, np.int64)
    order[copies.slot] = np.arange(len(copies.slot))
    return order.reshape(copies.plan.shape)


def copies_of(plan: np.ndarray, experts: int, order: np.ndarray | None = None) -> Copies:
    """List a plan's copies.

    order: ranks [device, slot]; an expert's copies come in this order, and in that of the slots where there is none.
    Raises ValueError when an expert has no slot, or an id is outside 0 .. experts - 1 (-1: an empty slot).
    """
    flat = np.asarray(plan).ravel()
    if flat.min() < -1 or flat.max() >= experts:
        raise ValueError(f"the plan holds experts outside 0 .. {experts - 1}")
    ranks = np.arange(flat.size) if order is None else np.asarray(order).ravel()
    slot = np.lexsort((ranks, flat))
    slot = slot[flat[slot] >= 0]
    count = np.bincount(flat[slot], minlength=experts)
    if not count.all():
        raise ValueError(f"experts {np.flatnonzero(count == 0).tolist()} have no slot in the plan")
    first = np.concatenate([[0], np.cumsum(count)])
    return Copies(np.asarray(plan), slot, slot // plan.shape[1], flat[slot].astype(np.int64), first)
