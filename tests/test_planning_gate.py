"""The gate of a redeployment, on figures that are worked out by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from planning.gate import seconds_of_par, seconds_of_slot, worthwhile

CASE = SimpleNamespace(
    iterations=100,
    layers=4,
    latency=3,
    balanced_compute_seconds=60.0,
    expert_bytes=10,
    bandwidth_bytes_per_second=100,
)
LIVE = np.array([[[0, 1], [2, 3]], [[0, 1], [2, 3]], [[0, 1], [2, 3]]])


def test_a_point_of_par_is_worth_the_iterations_that_are_left() -> None:
    # 100 - 45 - 3 - 2 = 50 of 100 iterations, one of 4 layers, of 60 seconds.
    assert seconds_of_par(CASE, 45) == pytest.approx(7.5)


def test_a_point_of_par_is_worth_nothing_when_no_iteration_is_left() -> None:
    assert seconds_of_par(CASE, 95) == 0 and seconds_of_par(CASE, 99) == 0


def test_a_slot_costs_its_bytes_over_the_bandwidth() -> None:
    assert seconds_of_slot(CASE) == pytest.approx(0.1)


def test_layers_that_pay_come_first_by_profit_and_each_with_its_better_candidate() -> None:
    two, four = LIVE.copy(), LIVE.copy()
    two[:, 0, 0], two[:, 1, 0] = 2, 0
    four[:] = [[2, 3], [0, 1]]
    gains = np.array([[0.1, 0.5, 0.3], [0.1, 0.9, 0.4]])
    # Profits in seconds: 0.1 - 0.2, 0.5 - 0.2, 0.3 - 0.2 of the first candidate; 0.1 - 0.4, 0.9 - 0.4, 0 of the other.
    layers, table = worthwhile(gains, np.stack([two, four]), LIVE, value=1.0, price=0.1)
    assert layers.tolist() == [1, 2]
    assert (table[1] == four[1]).all() and (table[2] == two[2]).all()


def test_a_gain_that_equals_its_price_is_left_alone() -> None:
    table = LIVE.copy()
    table[0] = table[0, ::-1]
    layers, _ = worthwhile(np.array([[0.4, 0.0, 0.0]]), table[None], LIVE, value=1.0, price=0.1)
    assert layers.tolist() == []
