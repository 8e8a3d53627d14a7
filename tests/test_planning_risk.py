"""The blocks that plan by risk, against slow and obvious forms of themselves."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from placement import balance
from planning.exchange import exchange
from planning.placing import place_by_risk
from planning.risk import POWER, Forecast, expected_maximum, objective, of_devices, replicas_of

# Layers, experts, devices, redundant experts.
SIZES = [(3, 8, 4, 4), (2, 12, 4, 0), (1, 5, 2, 3), (2, 16, 8, 8)]


def forecast_of(layers: int, experts: int, seed: int) -> Forecast:
    rng = np.random.default_rng(seed)
    load = rng.dirichlet(np.ones(experts), size=layers)
    loadings = 0.1 * rng.standard_normal((3, layers, experts)) * load
    return Forecast(load, (0.1 * load) ** 2, loadings, noise=1.5, drift=2.0)


def any_table(layers: int, experts: int, devices: int, redundant: int, seed: int) -> np.ndarray:
    """A table in which no device holds an expert twice."""
    rng = np.random.default_rng(seed)
    while True:
        every = [np.concatenate([np.arange(experts), rng.permutation(experts)[:redundant]]) for _ in range(layers)]
        table = np.stack([rng.permutation(line) for line in every]).reshape(layers, devices, -1)
        if all(len(set(device)) == len(device) for rows in table for device in rows.tolist()):
            return table


def slow_risk(forecast: Forecast, layer: int, rows: np.ndarray, device: int) -> float:
    replicas = np.bincount(rows.ravel(), minlength=forecast.load.shape[1])
    mean = variance = 0.0
    together = np.zeros(len(forecast.loadings))
    for expert in rows[device]:
        part = 1 / replicas[expert]
        mean += part * forecast.load[layer, expert]
        variance += part**2 * forecast.variance[layer, expert]
        together += part * forecast.loadings[:, layer, expert]
    return mean + np.sqrt(forecast.noise**2 * variance + forecast.drift**2 * (together**2).sum())


def slow_objective(forecast: Forecast, table: np.ndarray) -> np.ndarray:
    values = [
        sum(slow_risk(forecast, layer, rows, device) ** POWER for device in range(len(rows))) ** (1 / POWER) * len(rows)
        for layer, rows in enumerate(table)
    ]
    return np.array(values)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seed", range(5))
def test_the_objective_is_the_norm_of_the_devices_risks(size: tuple[int, ...], seed: int) -> None:
    forecast, table = forecast_of(*size[:2], seed), any_table(*size, seed)
    np.testing.assert_allclose(objective(forecast, table), slow_objective(forecast, table))


def test_risk_by_hand() -> None:
    # Expert 1 has two replicas. Device 0: mean .5 + .25, variance .04 + .25 * .16, loading .1 - .5 * .2.
    variance, loadings = np.array([[0.04, 0.16]]), np.array([[[0.1, -0.2]]])
    forecast = Forecast(np.array([[0.5, 0.5]]), variance, loadings, noise=2.0, drift=3.0)
    value = of_devices(forecast, np.array([[[0, 1], [1, 1]]])[:, :, :]).risk(forecast)
    third = 1 / 3
    first = 0.5 + third * 0.5 + np.sqrt(4 * (0.04 + third**2 * 0.16) + 9 * (0.1 - third * 0.2) ** 2)
    second = 2 * third * 0.5 + np.sqrt(4 * 2 * third**2 * 0.16 + 9 * (2 * third * 0.2) ** 2)
    np.testing.assert_allclose(value, [[first, second]])


def test_without_noise_and_drift_the_objective_is_near_the_par_of_the_mean() -> None:
    forecast = forecast_of(3, 32, 1)
    calm = Forecast(forecast.load, forecast.variance, forecast.loadings, noise=0.0, drift=0.0)
    table = any_table(3, 32, 8, 8, 1)
    for layer, rows in enumerate(table):
        load = np.rint(1e9 * forecast.load[layer]).astype(np.int64)[:, None]
        par = balance.par(load, load.sum(axis=0), rows)[0]
        assert par <= objective(calm, table)[layer] * (1 + 1e-8) <= par * 8 ** (1 / POWER) * (1 + 1e-7)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seed", range(5))
def test_without_noise_and_drift_the_largest_risk_is_the_par_of_the_mean(size: tuple[int, ...], seed: int) -> None:
    layers, experts, devices, _ = size
    load = np.random.default_rng(seed).integers(1, 1000, (layers, experts))
    shares = load / load.sum(axis=1, keepdims=True)
    calm = Forecast(shares, shares, shares[None], noise=0.0, drift=0.0)
    table = any_table(*size, seed)
    largest = of_devices(calm, table).risk(calm).max(axis=1)
    for layer, rows in enumerate(table):
        par = balance.par(load[layer][:, None], load[layer].sum(keepdims=True), rows)[0]
        assert largest[layer] * devices == pytest.approx(par, rel=1e-12)


@pytest.mark.parametrize(("count", "known"), [(1, 0.0), (2, 0.5642), (8, 1.4236), (32, 2.0697), (256, 2.8262)])
def test_the_expected_maximum_is_that_of_normal_draws(count: int, known: float) -> None:
    assert expected_maximum(count) == pytest.approx(known, abs=0.03)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seed", range(5))
def test_every_expert_is_placed_and_none_twice_on_a_device(size: tuple[int, ...], seed: int) -> None:
    layers, experts, devices, redundant = size
    table = place_by_risk(forecast_of(layers, experts, seed), devices, redundant)
    assert table.shape == (layers, devices, (experts + redundant) // devices)
    for rows in table:
        assert set(rows.ravel()) == set(range(experts))
    if redundant <= devices and experts >= 8:
        assert all(len(set(device)) == len(device) for rows in table for device in rows.tolist())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seed", range(5))
def test_replicas_stay_on_the_devices_that_hold_them_and_only_the_others_move(size: tuple[int, ...], seed: int) -> None:
    layers, experts, devices, redundant = size
    forecast = forecast_of(layers, experts, seed)
    fresh = place_by_risk(forecast, devices, redundant)
    again = place_by_risk(forecast, devices, redundant, live=fresh)
    assert (np.sort(again, axis=2) == np.sort(fresh, axis=2)).all()
    other = place_by_risk(forecast_of(layers, experts, seed + 100), devices, redundant)
    near = place_by_risk(forecast, devices, redundant, live=other)
    assert (replicas_of(near, experts) == replicas_of(fresh, experts)).all()
    assert in_place(near, other) >= in_place(fresh, other)


def in_place(table: np.ndarray, live: np.ndarray) -> int:
    """How many experts of all devices are there that the live devices hold."""
    pairs = zip(table.reshape(-1, table.shape[2]).tolist(), live.reshape(-1, live.shape[2]).tolist(), strict=True)
    return sum(len(set(new) & set(old)) for new, old in pairs)


def best_exchange(forecast: Forecast, table: np.ndarray) -> float:
    """The lowest objective of a single layer after one exchange with the device that risks most, tried one by one."""
    rows = table[0]
    busiest = int(np.argmax([slow_risk(forecast, 0, rows, device) for device in range(len(rows))]))
    found = [slow_objective(forecast, table)[0]]
    for slot, device, other in product(range(rows.shape[1]), range(len(rows)), range(rows.shape[1])):
        if device == busiest:
            continue
        tried = rows.copy()
        tried[busiest, slot], tried[device, other] = rows[device, other], rows[busiest, slot]
        if all(len(set(tried[d])) == rows.shape[1] for d in (busiest, device)):
            found.append(slow_objective(forecast, tried[None])[0])
    return min(found)


@pytest.mark.parametrize("seed", range(12))
def test_the_best_exchange_is_made(seed: int) -> None:
    forecast, table = forecast_of(1, 8, seed), any_table(1, 8, 4, 4, seed)
    after = exchange(forecast, table, steps=1, least=0.0)
    assert objective(forecast, after)[0] == pytest.approx(best_exchange(forecast, table), rel=1e-9)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seed", range(5))
def test_exchanges_keep_every_replica_and_raise_no_objective(size: tuple[int, ...], seed: int) -> None:
    forecast, table = forecast_of(*size[:2], seed), any_table(*size, seed)
    before, kept = objective(forecast, table), table.copy()
    after = exchange(forecast, table, steps=50)
    assert (table == kept).all()
    assert (objective(forecast, after) <= before * (1 + 1e-12)).all()
    for rows, new in zip(table, after, strict=True):
        assert sorted(rows.ravel()) == sorted(new.ravel())
        assert all(len(set(device)) == len(device) for device in new.tolist())
    assert (exchange(forecast, table, steps=50, least=1e9) == table).all()
    assert (exchange(forecast, after, steps=50) == after).all() or size[2] > 2


def test_an_exchange_that_gains_less_than_asked_for_is_not_made() -> None:
    forecast, table = forecast_of(1, 8, 3), any_table(1, 8, 4, 4, 3)
    gain = objective(forecast, table)[0] - objective(forecast, exchange(forecast, table, 1, 0.0))[0]
    assert gain > 0
    assert (exchange(forecast, table, 1, gain * 1.0001) == table).all()
    assert (exchange(forecast, table, 1, gain * 0.9999) != table).any()
