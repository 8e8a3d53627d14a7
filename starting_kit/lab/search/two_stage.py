"""A table improved in two stages: first the compute of the busiest device by a surrogate, then the whole latency."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from ..serving.cost import COMPAT, Preset
from ..serving.replicas import Replicas
from ..serving.torus import Torus
from ..traces.batches import Batches
from .steps import Evaluator, Search, local, sequence
from .surrogate import Blocks
from .swaps import Swaps


def two_stage(
    batches: Batches,
    replicas: Replicas,
    router: Callable[[Batches, Replicas], np.ndarray],
    torus: Torus,
    preset: Preset = COMPAT,
    tries: int = 20000,
    seed: int = 0,
    moved_budget: int | None = None,
) -> Replicas:
    """Improve a table: first the busiest device's compute by a surrogate, then the whole latency. Never worse.

    router: depends on the lists of replicas alone; tries: swaps of each stage. Returns the replicas of the better table
    in the order of their lists, which the router goes by.
    """
    rng = np.random.default_rng(seed)
    routed = router(batches, replicas)
    state = Swaps(batches, replicas, routed, torus, preset)
    start = state.replica_in.copy()
    blocks = Search(Blocks(batches, replicas, routed, preset), rng, moved_budget)
    local(blocks, 4 * tries)
    search = Search(state, rng, moved_budget)
    _lead(state, blocks.best)
    if state.objective > search.objective:
        search.return_to_best()
    else:
        search.objective, search.best = state.objective, state.replica_in.copy()
    search.start = start
    sequence(search, [partial(local, tries=tries)])
    return state.listed()


def _lead(state: Evaluator, target: np.ndarray) -> None:
    """Bring the replicas into the slots of another table."""
    other = Search(state, np.random.default_rng(0))
    other.best = target
    other.return_to_best()
