"""What the lab's search reaches on even loads: exchanges and replicas of other experts, from a table that is there."""

from __future__ import annotations

from functools import partial

import numpy as np

from ..search.steps import Search, anneal, local, sequence
from .even_load import EvenLoad

ROUND = 50
# Temperatures in units of the mean device load.
STEPS = (partial(anneal, tries=ROUND // 2, hot=0.05, cold=0.0005), partial(local, tries=ROUND // 2))


def searched(table: np.ndarray, load: np.ndarray, tries: int, seed: int) -> np.ndarray:
    """A table whose largest even load is not above the start's: int64 [device, slot].

    table: int [device, slot]; load: [expert]; tries: swaps in all, in rounds of ROUND: the first from the table itself,
    each later one after one or two slots were given to other experts, kept where that is not worse.
    """
    rng = np.random.default_rng(seed)
    best, reached = np.array(table, np.int64), np.inf
    for number in range(max(1, tries // ROUND)):
        start = best
        for _ in range(min(number, int(rng.integers(1, 3)))):
            start = _replaced(start, load, rng)
        state = Search(EvenLoad(start, load), rng)
        sequence(state, STEPS)
        if state.objective <= reached:
            best, reached = state.state.table, state.objective
    return best


def _replaced(table: np.ndarray, load: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A slot of an expert with several replicas, or an empty one, given to any expert."""
    flat = table.copy().ravel()
    count = np.bincount(flat[flat >= 0], minlength=len(load))
    spare = np.flatnonzero((flat < 0) | (count[flat] > 1))
    if spare.size:
        flat[rng.choice(spare)] = rng.integers(len(load))
    return flat.reshape(table.shape)
