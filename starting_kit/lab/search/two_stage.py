"""A table improved in two stages: first the compute of the busiest device by a surrogate, then the whole latency."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from placement.errors import Problem

from ..serving.cost import COMPAT, Preset
from ..serving.replicas import Replicas
from ..serving.torus import Torus
from ..traces.batches import Batches
from .limits import Limit, MovedSlots, RowCap
from .objectives import FIGURES, OBJECTIVES
from .replica_counts import Router, bound_router, delta, replaced
from .steps import LEAST, Evaluator, Search, Step, large_neighbourhood, local, sequence
from .surrogate import Blocks
from .swaps import Swaps

# A round of the large neighbourhood tries about 20 swaps.
ROUND = 20
# Rounds that give slots to other experts: how many at most, of how many candidates, and with how many swaps at least. A
# round counts the table anew, which takes as long as a try for each replica.
ROUNDS, CANDIDATES, LEAST_TRIES = 20, 16, 50


def two_stage(
    batches: Batches,
    replicas: Replicas,
    router: Router,
    torus: Torus,
    preset: Preset = COMPAT,
    tries: int = 20000,
    seed: int = 0,
    moved_budget: int | None = None,
    objective: str = "mean",
    row_cap: float | None = None,
    steps: Sequence[Step] | None = None,
    restarts: int = 1,
) -> Replicas:
    """Improve a table: first the busiest device's compute by a surrogate, then the whole latency. Never worse.

    router: depends on the lists of replicas alone; tries: swaps of the second stage, of the first four times as many;
    moved_budget: at most so many slots hold another expert than before; objective: mean, p95 or p99 of the batches;
    row_cap: no row serves more than so many times the mean row; steps: of the second stage, instead of hill climbing, a
    large neighbourhood and replicas of other experts; restarts: the best of so many, with the seeds seed, seed + 1, ...
    Returns the replicas of the better table in the order of their lists, which the router goes by. Raises ValueError
    for another objective, and Problem for a table that is beyond the row cap as it stands.
    """
    if objective not in OBJECTIVES:
        raise ValueError(f"the objective is {', '.join(OBJECTIVES)}, got {objective!r}")
    router = bound_router(router, batches, replicas)

    def limits(state: Swaps) -> list[Limit]:
        budget = [] if moved_budget is None else [MovedSlots(replicas.table.ravel(), moved_budget)]
        load = np.append(state.tokens.sum(axis=0), 0)
        return budget if row_cap is None else [*budget, RowCap(load, torus.rows, row_cap)]

    def swaps(listed: Replicas) -> Swaps:
        routed = router(batches, listed)
        return Swaps(batches, listed, routed, torus, preset, OBJECTIVES[objective])

    best: tuple[float, Replicas] | None = None
    for number in range(restarts):
        rng = np.random.default_rng(seed + number)
        state = swaps(replicas)
        best = best or (FIGURES[objective](state.latencies), replicas)
        if wrong := next((text for limit in limits(state) if (text := limit.refusal(state))), None):
            what, next_step = "the table is beyond a limit before the search", "raise the limit, or plan another table"
            raise Problem(what, *wrong, next_step)
        search = Search(state, rng, limits(state))
        _compute_first(search, Blocks(batches, replicas, state.routed, preset), 4 * tries)
        sequence(search, steps or _swaps_of(tries, tries // 8))
        if steps is None:
            state = _other_counts(state, rng, router, swaps, limits, tries // 8)
        # Of equals the searched one.
        if (reached := FIGURES[objective](state.latencies)) <= best[0]:
            best = reached, state.listed()
    return best[1]


def _swaps_of(tries: int, in_neighbourhoods: int) -> list[Step]:
    return [partial(local, tries=tries), partial(large_neighbourhood, rounds=in_neighbourhoods // ROUND)]


def _compute_first(search: Search, blocks: Blocks, tries: int) -> None:
    """Hill climbing on compute alone; the table that it leads to is kept where the whole latency is not higher."""
    lead = Search(blocks, search.rng, search.limits)
    local(lead, tries)
    _bring(search.state, lead.best)
    if search.state.objective > search.objective:
        search.return_to_best()
    else:
        search.objective, search.best = search.state.objective, search.state.replica_in.copy()


def _bring(state: Evaluator, target: np.ndarray) -> None:
    """Bring the replicas into the slots of another table."""
    other = Search(state, np.random.default_rng(0))
    other.best = target
    other.return_to_best()


def _other_counts(
    state: Swaps,
    rng: np.random.Generator,
    router: Router,
    swaps: Callable[[Replicas], Swaps],
    limits: Callable[[Swaps], list[Limit]],
    tries: int,
) -> Swaps:
    """Replicas of other experts: in every round the best of a few, and swaps; kept where both together have helped."""
    rounds = min(ROUNDS, tries // (len(state.slot_of) + LEAST_TRIES))
    for _ in range(rounds):
        chosen, least = None, np.inf
        for _ in range(CANDIDATES):
            slot, expert = int(rng.integers(len(state.replica_in))), _wanted(state, rng)
            if (change := delta(state, router, slot, expert, least)) < least:
                chosen, least = (slot, expert), change
        if chosen is None:
            continue
        other = swaps(replaced(state.listed(), *chosen))
        if any(limit.refusal(other) for limit in limits(other)):
            continue
        left = tries // rounds - len(state.slot_of)
        sequence(Search(other, rng, limits(other)), _swaps_of(left // 2, left // 2))
        if other.objective < state.objective - LEAST:
            state = other
    return state


def _wanted(state: Swaps, rng: np.random.Generator) -> int:
    """Any expert, or one from the busiest device of some batch, whose load a replica would share."""
    if rng.integers(2):
        return int(rng.integers(len(state.replicas.count)))
    busiest = int(state.busiest.device_time[rng.integers(state.batches.count)].argmax())
    held = np.flatnonzero(state.slot_of // state.slots == busiest)
    return int(state.expert[rng.choice(held)])
