"""A replica of one expert for a replica of another: how many replicas each expert has changes, which no swap does."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from ..serving.replicas import Replicas, order_of, replicas_of
from ..serving.routing import capacity_first_fit, even_capacity, first_fit
from ..traces.batches import Batches
from .swaps import Swaps

Router = Callable[[Batches, Replicas], np.ndarray]


def bound_router(router: Router, batches: Batches, replicas: Replicas) -> Router:
    """The router with its capacity as a number, so that it routes an expert's tokens alone as it does with all."""
    return partial(capacity_first_fit, capacity=even_capacity(batches, replicas)) if router is first_fit else router


def replaced(replicas: Replicas, slot: int, expert: int) -> Replicas:
    """The replicas when a flat slot gets this expert, as the last in the expert's list."""
    table, order = replicas.table.copy(), order_of(replicas)
    table.reshape(-1)[slot], order.reshape(-1)[slot] = expert, replicas.table.size
    return replicas_of(table, len(replicas.count), order)


def delta(state: Swaps, router: Router, slot: int, expert: int, limit: float = np.inf) -> float:
    """Change of the objective in us when a flat slot gets a replica of this expert instead of the one that it holds.

    router: as bound_router gives it; limit: as in Swaps.delta. The tokens of two experts are routed again, and nothing
    else. Infinity where the slot is empty, holds this expert, or the only replica of another.
    """
    replicas, batches = state.replicas, state.batches
    old = state.replica_in[slot]
    gives = state.expert[old]
    if old < 0 or gives == expert or replicas.count[gives] == 1:
        return np.inf
    device_of = state.slot_of // state.slots
    touched: list[int] = []
    devices: list[tuple[int, np.ndarray, np.ndarray]] = []
    time = state.busiest.device_time.copy()
    for one in (expert, gives):
        serving = list(range(replicas.first[one], replicas.first[one + 1]))
        touched += serving
        for replica in serving:
            time[:, device_of[replica]] -= state.time[replica]
        after = [int(device_of[replica]) for replica in serving if replica != old]
        after += [slot // state.slots] if one == expert else []
        tokens, routed = _routed_alone(state, router, serving, after)
        counts = np.zeros((batches.count, len(after)), np.int64)
        np.add.at(counts, (batches.batch_of_token[tokens], routed), 1)
        for device, taken in zip(after, state.preset.compute(counts).T, strict=True):
            time[:, device] += taken
        devices.append((one, tokens, np.array(after)[routed]))
    compute = time.max(axis=1)
    if limit < np.inf:
        least = state.measure(compute + state.transfers.untouched(*touched)[0].sum(axis=0)) - state.objective
        if least > limit:
            return least
    tokens = np.unique(np.concatenate([tokens for _, tokens, _ in devices]))
    served = device_of[state.routed[tokens]]
    for one, of_one, device in devices:
        at = np.searchsorted(tokens, of_one)
        served[at, (batches.choices[of_one] == one).argmax(axis=1)] = device
    times = state.transfers.served_elsewhere(touched, tokens, served)
    return state.measure(compute + times.sum(axis=0)) - state.objective


def _routed_alone(state: Swaps, router: Router, serving: list[int], after: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """An expert's tokens, ascending, and which of its replicas on the devices `after` serves each."""
    tokens = np.sort(np.concatenate([state.transfers.tokens_of[replica] for replica in serving]))
    if not len(tokens):
        return tokens, tokens
    batch = state.batches.batch_of_token[tokens]
    starts = np.concatenate([[0], np.flatnonzero(np.diff(batch)) + 1, [len(tokens)]])
    part = Batches(1, np.zeros((len(tokens), 1), np.int32), state.batches.origins[tokens], starts)
    device, places = np.array(after), np.arange(len(after))
    alone = Replicas(device[:, None], places, device, np.zeros_like(places), np.array([0, len(after)]))
    return tokens, router(part, alone)[:, 0]
