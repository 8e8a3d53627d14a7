"""What a search relies on, measured: delta against whole evaluation, and the order that the surrogate gives tables."""

from __future__ import annotations

import numpy as np

from ..serving.cost import COMPAT, Preset, latency
from ..serving.replicas import Replicas, order_of, replicas_of
from ..serving.torus import Torus
from ..traces.batches import Batches
from .replica_counts import Router, bound_router, delta, replaced
from .surrogate import Blocks, rank_correlation
from .swaps import Swaps

# Tables that differ by so many random swaps from the one that is searched: near, farther, and random ones.
DISTANCES = (3, 30, 1000)
TABLES = 50


def delta_difference(
    batches: Batches, replicas: Replicas, router: Router, torus: Torus, preset: Preset, moves: int, seed: int
) -> tuple[float, float, bool]:
    """The largest difference in us between delta and whole evaluation, and whether moves can be taken back.

    Of so many random swaps one after another, and of a tenth as many replicas of other experts; the third value: the
    swaps taken back in reverse give the first table again.
    """
    router, rng = bound_router(router, batches, replicas), np.random.default_rng(seed)
    routed = router(batches, replicas)

    def whole(listed: Replicas) -> float:
        return float(latency(batches, listed, router(batches, listed), torus, preset).total.mean())

    state, of_swaps, of_replicas = Swaps(batches, replicas, routed, torus, preset), 0.0, 0.0
    for slot, expert in rng.integers((replicas.table.size, len(replicas.count)), size=(-(-moves // 10), 2)).tolist():
        if (change := delta(state, router, slot, expert)) < np.inf:
            apart = abs(state.objective + change - whole(replaced(replicas, slot, expert)))
            of_replicas = max(of_replicas, apart)
    pairs = rng.integers(replicas.table.size, size=(moves, 2)).tolist()
    for first, second in pairs:
        expected = state.objective + state.delta(first, second)
        state.apply(first, second)
        after = whole(state.listed())
        of_swaps = max(of_swaps, abs(expected - after), abs(state.objective - after))
    for first, second in reversed(pairs):
        state.apply(first, second)
    return of_swaps, of_replicas, bool(np.array_equal(state.table, replicas.table))


def surrogate_order(
    batches: Batches,
    replicas: Replicas,
    router: Router,
    torus: Torus,
    preset: Preset = COMPAT,
    swaps: int = 1000,
    seed: int = 0,
    tables: int = TABLES,
) -> float:
    """The surrogate's rank correlation with the whole latency, over tables that differ by so many random swaps."""
    router, rng = bound_router(router, batches, replicas), np.random.default_rng(seed)
    cheap, whole = [], []
    for _ in range(tables):
        place = np.arange(replicas.table.size)
        for first, second in rng.integers(len(place), size=(swaps, 2)).tolist():
            place[[first, second]] = place[[second, first]]
        table, order = (values.ravel()[place].reshape(values.shape) for values in (replicas.table, order_of(replicas)))
        other = replicas_of(table, len(replicas.count), order)
        routed = router(batches, other)
        cheap.append(Blocks(batches, other, routed, preset).objective)
        whole.append(float(latency(batches, other, routed, torus, preset).total.mean()))
    return rank_correlation(cheap, whole)


def checked(
    batches: Batches, replicas: Replicas, router: Router, torus: Torus, preset: Preset, moves: int, seed: int
) -> list[str]:
    """Both checks in sentences."""
    of_swaps, of_replicas, back = delta_difference(batches, replicas, router, torus, preset, moves, seed)
    orders = [surrogate_order(batches, replicas, router, torus, preset, swaps, seed) for swaps in DISTANCES]
    listed = ", ".join(f"{order:.2f} after {swaps}" for order, swaps in zip(orders, DISTANCES, strict=True))
    return [
        f"delta and whole evaluation differ by at most {of_swaps:.1e} us in {moves} random swaps, {of_replicas:.1e} us "
        f"for replicas of other experts; the swaps taken back give the first table: {'yes' if back else 'no'}",
        f"rank correlation of the surrogate with the whole latency over {TABLES} tables: {listed} random swaps",
    ]
