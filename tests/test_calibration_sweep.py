"""The calibration's sweep: with all layers it is the simulator's replay, with some of them their part of it."""

import numpy as np
import pytest

from placement.ds_eplb import ds_eplb
from placement.grid import Case
from placement.replay import replay
from placement.trace import Trace
from traces.calibration.published import Cell
from traces.calibration.sweep import sampled_layers, sweep

LAYERS, EXPERTS = 6, 8


def drifting_trace(seed):
    rng = np.random.default_rng(seed)
    rates = rng.lognormal(3, 1, (4, LAYERS, EXPERTS)).repeat(25, axis=0)
    return rng.poisson(rates).astype(np.int32)


def replayed(hotness, cell):
    trace, case = Trace(hotness), Case("M", "d", cell.ep, cell.ep, LAYERS, EXPERTS, cell.window, cell.latency)

    def rebalance(start, stop, deployment, iteration):
        return np.arange(LAYERS), ds_eplb(trace.window(start, stop).sum(axis=0), cell.ep, cell.ep)

    return replay(trace, case, rebalance)


@pytest.mark.parametrize("window", [1, 7, 20, 45, 90, 97, 99])
@pytest.mark.parametrize("latency", [0, 3])
@pytest.mark.parametrize("ep", [2, 4, 8])
def test_with_all_layers_it_equals_the_replay(ep, window, latency):
    hotness, cell = drifting_trace(ep), Cell(ep, window, latency, 0.0, 0)
    found, expected = sweep(Trace(hotness), LAYERS, [cell])[cell], replayed(hotness, cell)
    assert found.mean_par == pytest.approx(expected.par.mean(), rel=1e-12)
    assert found.transmit_amount == expected.transmit_amount


def test_a_sampled_layer_is_redeployed_in_its_own_turn():
    hotness, cell = drifting_trace(1), Cell(4, 20, 2, 0.0, 0)
    chosen = sampled_layers(LAYERS, 2)
    assert chosen.tolist() == [1, 4]
    found = sweep(Trace(hotness[:, chosen]), LAYERS, [cell])[cell]
    expected = replayed(hotness, cell)
    assert found.mean_par == pytest.approx(expected.par[:, chosen].mean(), rel=1e-12)
    changed = sum(part.changed for part in expected.applications if part.layer in chosen)
    assert found.transmit_amount == 3 * changed


def test_the_later_part_begins_with_each_layers_first_redeployment():
    hotness, cell = drifting_trace(2), Cell(4, 60, 2, 0.0, 0)
    par = replayed(hotness, cell).par
    # The call in iteration 61 sees its first layer applied in 64, which counts from index 64 on.
    later = np.concatenate([par[64 + layer :, layer] for layer in range(LAYERS)])
    assert sweep(Trace(hotness), LAYERS, [cell])[cell].later_par == pytest.approx(later.mean(), rel=1e-12)


def test_window_zero_is_the_static_deployment():
    hotness, cell = drifting_trace(3), Cell(4, 0, 0, 0.0, 0)
    found = sweep(Trace(hotness), LAYERS, [cell])[cell]
    static = replay(Trace(hotness), Case("M", "d", 4, 4, LAYERS, EXPERTS, 10, 0), lambda *call: None)
    assert found.mean_par == pytest.approx(static.par.mean(), rel=1e-12)
    assert found.transmit_amount == 0 and np.isnan(found.later_par)
