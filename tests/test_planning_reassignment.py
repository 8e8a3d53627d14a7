"""Spare replicas that change hands: never to the worse, and the one that helps most first."""

from __future__ import annotations

import numpy as np
import pytest

from placement.deployment import initial_deployment
from planning.reassignment import reassign
from planning.risk import Forecast, objective
from test_planning_risk import forecast_of

# Layers, experts, devices, slots.
SIZES = [(3, 8, 4, 3), (2, 12, 4, 4), (2, 16, 8, 3), (1, 5, 2, 4)]


def any_table(layers: int, experts: int, devices: int, slots: int, seed: int) -> np.ndarray:
    """Neighbours in turn, renamed: no device holds an expert twice, and some experts have several slots."""
    rng = np.random.default_rng(seed)
    turn = np.arange(devices * slots).reshape(devices, slots) % experts
    return np.stack([rng.permutation(experts)[turn] for _ in range(layers)])


def best_one_by_one(forecast: Forecast, table: np.ndarray) -> tuple[float, float]:
    """The lowest objective of a single layer after one slot was given away, tried one by one.

    The second is that of the steps in which no third device holds both experts.
    """
    every, apart = [], []
    for device, slot in np.ndindex(table.shape[1:]):
        for expert in set(range(forecast.load.shape[1])) - set(table[0, device].tolist()):
            giver, tried = table[0, device, slot], table.copy()
            tried[0, device, slot] = expert
            if giver in tried:
                every.append(objective(forecast, tried)[0])
                if not any(giver in rows and expert in rows for rows in table[0].tolist()):
                    apart.append(every[-1])
    return min(every), min(apart)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seed", range(6))
def test_every_expert_keeps_a_slot_none_comes_twice_and_no_objective_rises(size: tuple[int, ...], seed: int) -> None:
    forecast, table = forecast_of(*size[:2], seed), any_table(*size, seed)
    before, kept = objective(forecast, table), table.copy()
    for steps in (1, 3, 50):
        after = reassign(forecast, table, steps, least=0.0)
        assert (objective(forecast, after) <= before).all()
        assert ((after != table).sum(axis=(1, 2)) <= steps).all()
        for rows in after:
            assert set(rows.ravel()) == set(range(size[1]))
            assert all(len(set(device)) == len(device) for device in rows.tolist())
    assert (table == kept).all()


@pytest.mark.parametrize("seed", range(30))
def test_with_all_experts_looked_at_no_step_is_better_but_where_a_device_holds_both(seed: int) -> None:
    forecast, table = forecast_of(1, 8, seed), any_table(1, 8, 4, 3, seed)
    best, apart = best_one_by_one(forecast, table)
    found = objective(forecast, reassign(forecast, table, 1, -np.inf, receivers=8))[0]
    assert best * (1 - 1e-12) <= found <= apart * (1 + 1e-12)


def test_the_hottest_expert_gets_a_slot_of_the_one_that_misses_it_least() -> None:
    load = np.array([[0.6, 0.1, 0.1, 0.2]])
    calm = Forecast(load, np.zeros((1, 4)), np.zeros((1, 1, 4)), noise=0.0, drift=0.0)
    table = np.array([[[0, 1], [2, 3], [1, 2]]])
    # Devices carry .65, .25, .1. Expert 2 gives: .35, .3, .35. Expert 1 would make them .4, .25, .35.
    assert reassign(calm, table, steps=1).tolist() == [[[0, 1], [2, 3], [1, 0]]]


def test_a_slot_that_gains_less_than_asked_for_is_kept_layer_by_layer() -> None:
    forecast, table = forecast_of(2, 8, 3), any_table(2, 8, 4, 3, 3)
    gain = objective(forecast, table) - objective(forecast, reassign(forecast, table, 1, 0.0))
    assert (gain > 0).all()
    after = reassign(forecast, table, 1, gain * [1.0001, 0.9999])
    assert (after != table).sum(axis=(1, 2)).tolist() == [0, 1]


def test_a_layer_without_spare_replicas_stays() -> None:
    table = np.arange(8).reshape(1, 4, 2)
    assert (reassign(forecast_of(1, 8, 0), table, 5, 0.0) == table).all()


def test_slots_that_repeat_their_neighbour_are_given_away_first() -> None:
    table = initial_deployment(2, 8, 4, 4)
    forecast = forecast_of(2, 8, 1)
    after = reassign(forecast, table, 4, 0.0)
    assert (objective(forecast, after) < objective(forecast, table)).all()
    assert all(set(rows.ravel()) == set(range(8)) for rows in after)
