"""Replicas by load: by water-filling, against one replica after the other."""

from __future__ import annotations

import numpy as np
import pytest

from planning.replication import replicas_by_load

LOADS = {
    "ties": lambda rng, experts: rng.integers(0, 9, experts),
    "zeros": lambda rng, experts: rng.integers(0, 2, experts),
    "heavy tail": lambda rng, experts: rng.zipf(1.3, experts).clip(max=10**9),
    "shares": lambda rng, experts: rng.dirichlet(np.full(experts, 0.3)),
}


def one_after_the_other(load: np.ndarray, slots: int) -> list[int]:
    replicas = np.ones(len(load), np.int64)
    for _ in range(slots - len(load)):
        replicas[np.argmax(load / replicas)] += 1
    return replicas.tolist()


@pytest.mark.parametrize("kind", LOADS)
def test_water_filling_gives_what_one_replica_after_the_other_gives(kind: str) -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        load = LOADS[kind](rng, rng.integers(1, 20))
        slots = len(load) + int(rng.integers(0, 40))
        assert replicas_by_load(load, slots).tolist() == one_after_the_other(load, slots), (load, slots)


def test_layers_are_planned_alone() -> None:
    load = np.random.default_rng(1).integers(0, 50, (6, 12))
    load[2] = 0
    assert replicas_by_load(load, 30).tolist() == [one_after_the_other(layer, 30) for layer in load]


def test_no_redundant_expert_is_one_replica_each() -> None:
    assert replicas_by_load(np.array([[5.0, 0.0], [1.0, 1.0]]), 2).tolist() == [[1, 1], [1, 1]]


def test_fewer_slots_than_experts_are_refused() -> None:
    with pytest.raises(ValueError, match="2 slots cannot hold 3 experts; expected at least one slot for each"):
        replicas_by_load(np.ones((4, 3)), 2)
