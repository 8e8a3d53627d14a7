"""Replanners: the next deployment table, from the loads of batches that were served and the present table."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from planning.exchange import exchange
from planning.reassignment import reassign
from planning.relabelling import relabel
from planning.risk import Forecast

from ..planning.even import even_table
from ..serving.torus import Torus

# (loads of the batches served so far int64 [batch, expert], present table int64 [device, slot] or None, how many slots
# may change or None) -> int64 [device, slot].
Replanner = Callable[[np.ndarray, np.ndarray | None, int | None], np.ndarray]
# The smallest gain that is worth a slot where slots are counted: a part of the mean load of a device. A hundredth
# changed a ninth of the slots that a thousandth did, at the same latency (drifting, 256 tokens, replanned every batch).
LEAST = 1e-2


def recent(past: np.ndarray, window: int) -> np.ndarray:
    """The moving average: the mean load of the last `window` batches, float64 [expert]."""
    return past[-window:].mean(axis=0)


def even_replanner(torus: Torus, slots: int, window: int) -> Replanner:
    """Even split, heaviest first and exchanges for the recent load, so ordered that most slots keep their expert.

    slots: per device; window: batches. Where slots are counted, the present table is mended instead.
    """

    def replan(past: np.ndarray, live: np.ndarray | None, budget: int | None) -> np.ndarray:
        load = recent(past, window)
        if live is not None and budget is not None:
            return mended(live, load, budget)
        # Without a shared expert nothing depends on top_k.
        made = even_table(load[None], torus, slots, shared=False, top_k=1)
        return made if live is None else relabel(made[None], live[None], len(load))[0]

    return replan


def mended(live: np.ndarray, load: np.ndarray, budget: int) -> np.ndarray:
    """The present table with at most `budget` slots changed: int64 [device, slot].

    Replicas go to experts that need them more, one slot each, and then experts change places, two slots each, as long
    as each slot lowers the risk of the fullest devices by LEAST. load: float64 [expert].
    """
    share = (load / load.sum())[None]
    forecast = Forecast(share, np.zeros_like(share), np.zeros((1, *share.shape)), 0.0, 0.0)
    table = reassign(forecast, live[None], budget, LEAST)
    left = budget - np.count_nonzero(table[0] != live)
    return exchange(forecast, table, left // 2, LEAST)[0]
