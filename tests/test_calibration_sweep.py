"""The calibration's sweep: with all layers it is the simulator's replay, with some of them their part of it."""

import numpy as np
import pytest

from placement.ds_eplb import ds_eplb
from placement.grid import Case
from placement.replay import replay
from placement.trace import Trace
from traces.calibration.published import Curve, Policy
from traces.calibration.sweep import Sweep, sampled_layers

LAYERS, EXPERTS = 6, 8


def drifting_trace(seed):
    rng = np.random.default_rng(seed)
    rates = rng.lognormal(3, 1, (4, LAYERS, EXPERTS)).repeat(25, axis=0)
    return rng.poisson(rates).astype(np.int32)


def replayed(hotness, policy):
    """The simulator's replay of DS-EPLB, or of a policy that answers at its first call only."""
    trace = Trace(hotness)
    case = Case("M", "d", policy.ep, policy.ep, LAYERS, EXPERTS, policy.window or 10, policy.latency)
    answered = []

    def rebalance(start, stop, deployment, iteration):
        if policy.name == "static" or (policy.name == "once" and answered):
            return None
        answered.append(iteration)
        return np.arange(LAYERS), ds_eplb(trace.window(start, stop).sum(axis=0), policy.ep, policy.ep)

    return replay(trace, case, rebalance)


@pytest.mark.parametrize("window", [1, 7, 20, 45, 90, 97, 99, 100, 300])
@pytest.mark.parametrize("latency", [0, 3])
@pytest.mark.parametrize("ep", [2, 4, 8])
@pytest.mark.parametrize("name", ["ds_eplb", "once"])
def test_with_all_layers_it_equals_the_replay(name, ep, window, latency):
    hotness, policy = drifting_trace(ep), Policy(name, ep, window, latency)
    found, expected = Sweep(Trace(hotness), LAYERS).measure(policy), replayed(hotness, policy)
    assert found.mean_par == pytest.approx(expected.par.mean(), rel=1e-12)
    assert found.transmit_amount == expected.transmit_amount


def test_what_is_deployed_once_is_kept():
    sweep = Sweep(Trace(drifting_trace(1)), LAYERS)
    once, again = (sweep.measure(Policy(name, 4, 20)) for name in ("once", "ds_eplb"))
    assert 0 < once.transmit_amount < again.transmit_amount and once.mean_par != again.mean_par


@pytest.mark.parametrize("name", ["ds_eplb", "once"])
def test_a_sampled_layer_is_redeployed_in_its_own_turn(name):
    hotness, policy = drifting_trace(1), Policy(name, 4, 20, 2)
    chosen = sampled_layers(LAYERS, 2)
    assert chosen.tolist() == [1, 4]
    found = Sweep(Trace(hotness[:, chosen]), LAYERS).measure(policy)
    expected = replayed(hotness, policy)
    assert found.mean_par == pytest.approx(expected.par[:, chosen].mean(), rel=1e-12)
    changed = sum(part.changed for part in expected.applications if part.layer in chosen)
    assert found.transmit_amount == 3 * changed


def test_all_layers_are_a_sample_of_themselves():
    assert sampled_layers(5, 5).tolist() == [0, 1, 2, 3, 4]
    assert sampled_layers(58, 4).tolist() == [7, 21, 36, 50]


def test_static_is_the_initial_deployment():
    hotness, policy = drifting_trace(3), Policy("static", 4, 0)
    found, expected = Sweep(Trace(hotness), LAYERS).measure(policy), replayed(hotness, policy)
    assert found == (pytest.approx(expected.par.mean(), rel=1e-12), 0)


@pytest.mark.parametrize("policy", [Policy("static", 4, 0), Policy("once", 8, 20), Policy("ds_eplb", 2, 30)], ids=str)
def test_a_curves_point_is_the_mean_of_the_ten_iterations_around_it(policy):
    hotness, iterations = drifting_trace(4), (5.0, 33.0, 60.0, 95.0)
    par = replayed(hotness, policy).par.mean(axis=1)
    found = Sweep(Trace(hotness), LAYERS).curve(Curve(policy, iterations, (1.0,) * 4))
    # Iterations count from 1: those around 33 are 29 to 38.
    expected = [np.mean([par[iteration - 1] for iteration in range(n - 4, n + 6)]) for n in (5, 33, 60, 95)]
    assert found == pytest.approx(expected, rel=1e-12)


def test_a_curve_of_early_points_is_that_part_of_a_longer_one():
    sweep, policy = Sweep(Trace(drifting_trace(5)), LAYERS), Policy("ds_eplb", 4, 10)
    early, long = (sweep.curve(Curve(policy, points, points)) for points in ((15.0, 25.0), (15.0, 25.0, 95.0)))
    assert early.tolist() == long[:2].tolist()


def test_deployed_once_by_hand():
    # Two devices of three slots: [0 1 1] [2 3 3], then [0 0 2] [1 1 3]. A load of 0 counts as 1.
    hotness = np.array([[[6, 6, 0, 0]]] * 15 + [[[6, 0, 6, 0]]] * 15, np.int32)
    sweep, policy = Sweep(Trace(hotness), 1), Policy("once", 2, 4)
    # Called in iteration 5, deployed in 6: balanced in the nine iterations 7 to 15, 12 of 14 tokens on a device before;
    # after, experts 0 and 2 are on one device.
    assert sweep.measure(policy) == (pytest.approx((6 * 12 / 7 + 9 * 1 + 15 * 12 / 7) / 30), 4)
    assert sweep.curve(Curve(policy, (11.0, 25.0), (1.0, 1.0))) == pytest.approx([(9 + 12 / 7) / 10, 12 / 7])
