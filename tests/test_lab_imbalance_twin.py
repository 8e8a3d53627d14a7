"""The imbalance model's measured twin: skew, fit, bound and estimates of generated loads."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from lab.imbalance.closed_form import ExpertImbalance
from lab.imbalance.presets import CHIP, MODELS, Chip, MoeModel, layer_time
from lab.imbalance.twin import (
    estimate,
    fit,
    ideal,
    layer_frame,
    measured_skew,
    prefill_frame,
    upper_bound,
)
from lab_cases import expected_load, random_table
from placement.deployment import initial_deployment

V3 = MODELS["deepseek-v3"]
TINY = MoeModel("tiny", 12, 3, d_model=8, d_ff=4, layers=10, devices_per_token=2)
# An expert of TINY takes 2 ns for a token and 5 ns to be read.
SLOW = Chip(flops=TINY.token_flops // 2, memory=Fraction(TINY.expert_bytes, 5), link=200, latency=7)


def contiguous(experts: int, devices: int, layers: int = 1) -> np.ndarray:
    """One replica each, in order of id: int64 [layer, device, slot]."""
    return np.tile(np.arange(experts).reshape(devices, -1), (layers, 1, 1))


def random_hotness(seed: int, layers: int = 2, experts: int = 12, iterations: int = 5) -> np.ndarray:
    """Skewed counts, some 0: [iteration, layer, expert]."""
    rng = np.random.default_rng(seed)
    return rng.poisson(rng.pareto(1.2, (iterations, layers, experts)) * 5) + (np.arange(experts) == seed % experts)


def test_the_skew_of_a_hand_checked_layer():
    # Expert 0 has two replicas, one beside expert 1; a slot is empty: 2 + 3 against 2 + 1.
    table = np.array([[[0, 1], [0, 2], [3, -1]]])
    assert measured_skew(np.array([[[4, 3, 1, 4]]]), table).tolist() == [[5 / 4]]


@pytest.mark.parametrize("seed", range(20))
def test_the_skew_equals_a_plain_sum_over_slots(seed):
    hotness, table = random_hotness(seed), np.stack([random_table(seed), random_table(seed + 1)])
    for iteration, layer in np.ndindex(hotness.shape[:2]):
        replicas = np.bincount(table[layer].ravel(), minlength=12)
        loads = [sum(hotness[iteration, layer, e] / replicas[e] for e in row) for row in table[layer]]
        expected = max(loads) / np.mean(loads)
        assert measured_skew(hotness, table)[iteration, layer] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("devices", "factor", "hot"), [(8, -1, 1), (32, 2, 4), (64, 10.5, 3), (256, -1, 8)])
def test_the_skew_of_the_models_own_load_is_the_closed_form(devices, factor, hot):
    imbalance = V3.imbalance(devices, factor, hot)
    hotness = expected_load(imbalance, 4096)[None, None]
    assert measured_skew(hotness, contiguous(256, devices)) == pytest.approx(float(imbalance.skew), rel=1e-12)


@pytest.mark.parametrize("seed", range(30))
def test_fitting_recovers_the_factor_and_the_hot_experts_of_a_generated_load(seed):
    rng = np.random.default_rng(seed)
    hot, factor = int(rng.integers(1, 9)), float(rng.uniform(2, 32))
    share = expected_load(V3.imbalance(8, factor, hot), 1) / 8
    load = rng.multinomial(200 * 4096, rng.permutation(share), size=3)
    fitted = fit(load, 8)
    assert fitted.hot.tolist() == [hot] * 3
    np.testing.assert_allclose(fitted.factor, factor, rtol=0.02)


@pytest.mark.parametrize("hot", range(1, 7))
def test_fitting_an_exact_load_finds_its_numbers(hot):
    fitted = fit(expected_load(ExpertImbalance(160, 6, 1, 7, hot), 100), 6)
    assert fitted.hot == hot and fitted.factor == pytest.approx(7, rel=1e-12)


def test_an_even_load_fits_factor_one():
    assert [values.tolist() for values in fit(np.full((2, 12), 7), 3)] == [[1, 1], [1, 1]]


@pytest.mark.parametrize("seed", range(20))
def test_no_other_pair_describes_a_load_better(seed):
    load = random_hotness(seed)[0, 0] / random_hotness(seed)[0, 0].mean()
    ordered = np.sort(load)[::-1]

    def error(factor: float, hot: int) -> float:
        rest = (12 - hot * factor) / (12 - hot)
        return ((ordered - np.repeat([factor, rest], [hot, 12 - hot])) ** 2).sum()

    fitted = fit(load, 3)
    least = min(error(factor, hot) for hot in (1, 2, 3) for factor in np.linspace(1, 4, 601))
    assert error(float(fitted.factor), int(fitted.hot)) <= least + 1e-9


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("devices", [1, 3, 4, 12])
def test_no_placement_of_one_replica_each_exceeds_the_bound(seed, devices):
    hotness = random_hotness(seed)
    rng = np.random.default_rng(seed)
    table = np.stack([rng.permutation(12).reshape(devices, -1) for _ in range(2)])
    assert (measured_skew(hotness, table) <= upper_bound(hotness, devices) * (1 + 1e-12)).all()


def test_the_bound_is_met_by_the_hottest_experts_on_one_device():
    hotness = -np.sort(-random_hotness(3), axis=2)
    np.testing.assert_allclose(measured_skew(hotness, contiguous(12, 4, 2)), upper_bound(hotness, 4), rtol=1e-12)
    assert (upper_bound(hotness.astype(np.uint16), 4) == upper_bound(hotness, 4)).all()


@pytest.mark.parametrize("seed", range(20))
def test_no_placement_with_replicas_exceeds_the_bound_for_its_slots(seed):
    hotness, table = random_hotness(seed), np.stack([random_table(seed), random_table(seed + 1)])
    assert (measured_skew(hotness, table) <= upper_bound(hotness, 8, slots=3) * (1 + 1e-12)).all()


def test_the_closed_form_is_no_bound_of_a_real_load():
    # Two experts of the same device share all the load; one hot expert explains half of it.
    hotness = np.array([[[5.0, 5, 1, 1]]])
    imbalance = ExpertImbalance(4, 1, 2, float(fit(hotness[0], 1).factor[0]))
    assert float(imbalance.skew) < measured_skew(hotness, contiguous(4, 2))[0, 0] == upper_bound(hotness, 2)[0, 0]


@pytest.mark.parametrize(("devices", "factor", "hot"), [(1, 3, 2), (8, -1, 1), (32, 2, 4), (64, 10.5, 3), (256, -1, 8)])
def test_the_estimate_of_the_models_own_load_is_the_closed_form(devices, factor, hot):
    imbalance = V3.imbalance(devices, factor, hot)
    hotness = expected_load(imbalance, 4096)[None, None]
    time = estimate(hotness, contiguous(256, devices), V3, 4096)
    expected = layer_time(V3, imbalance, 4096)
    assert math.ceil(time.compute[0, 0] - 1e-6) == expected.compute
    assert abs(time.dispatch[0, 0] - expected.dispatch) <= 1 and time.dispatch is time.combine


def test_the_estimate_of_a_hand_checked_layer():
    # 4 tokens, 3 choices each: 6 on expert 0, whose two replicas do 3 each, 6 on expert 1; the others are idle.
    hotness = np.array([[[1, 1] + [0] * 10]])
    table = np.array([[[0, 1, 2, 3, 4, 5, 6], [0, 7, 8, 9, 10, 11, -1]]])
    time = estimate(hotness, table, TINY, 4, SLOW)
    assert time.skew.tolist() == [[1.5]]
    assert time.compute.tolist() == [[6 + 12]]
    assert time.dispatch.tolist() == [[7]] and time.total.tolist() == [[32]]
    best = ideal(hotness, 2, TINY, 4, SLOW)
    assert best.compute.tolist() == [[12]] and best.skew.tolist() == [[1]] and best.total.tolist() == [[26]]


@pytest.mark.parametrize("tokens", [1, 4, 50, 3000])
@pytest.mark.parametrize("seed", range(10))
def test_no_table_is_faster_than_the_ideal(seed, tokens):
    hotness, table = random_hotness(seed), np.stack([random_table(seed), random_table(seed + 1)])
    estimated, best = estimate(hotness, table, TINY, tokens, SLOW), ideal(hotness, 8, TINY, tokens, SLOW)
    for part in ("skew", "compute", "dispatch", "combine", "total"):
        assert (getattr(best, part) <= getattr(estimated, part) * (1 + 1e-9)).all(), part


def test_the_table_compares_placements_per_layer_and_ep():
    hotness = random_hotness(1, iterations=40)
    policy = {4: initial_deployment(2, 12, 4)}
    frame = layer_frame(hotness, TINY, [2, 4], 50, policy, SLOW)
    assert list(frame.columns[:4]) == ["layer", "ep", "placement", "par"]
    assert frame.groupby("ep", sort=False).placement.unique().map(list).to_dict() == {
        2: ["initial", "DS-EPLB", "ideal"],
        4: ["initial", "policy", "DS-EPLB", "ideal"],
    }
    assert sorted(frame.layer.unique()) == [0, 1]
    parts = frame.compute_us + frame.dispatch_us + frame.combine_us
    np.testing.assert_allclose(frame.layer_us, parts, rtol=1e-12)
    measured = frame[frame.placement != "ideal"]
    assert (measured.par <= measured.bound).all()
    named = frame.set_index(["ep", "layer", "placement"])
    assert named.loc[(4, 1, "policy"), "layer_us"] == named.loc[(4, 1, "initial"), "layer_us"]
    coming = hotness[20:]
    assert named.loc[(4, 1, "initial"), "par"] == measured_skew(coming, policy[4])[:, 1].mean()


def test_the_planner_sees_the_first_half_only():
    hotness = random_hotness(2, iterations=40)
    other = hotness.copy()
    other[20:] = hotness[20:, :, ::-1]
    first, second = (layer_frame(trace, TINY, [4], 50) for trace in (hotness, other))
    assert (first.par[first.placement == "DS-EPLB"] != second.par[second.placement == "DS-EPLB"]).all()
    assert (first.par[first.placement == "ideal"] == 1).all()


def test_a_planned_table_is_between_the_initial_one_and_the_ideal_on_a_steady_load():
    load = expected_load(V3.imbalance(32, 16, 3), 4096)
    frame = layer_frame(np.tile(load, (4, 1, 1)), V3, [32], 4096).set_index("placement")
    assert frame.layer_us["ideal"] < frame.layer_us["DS-EPLB"] < 0.7 * frame.layer_us["initial"]
    assert (frame.factor.round(9) == 16).all() and (frame.hot == 3).all()


def test_a_single_iteration_is_planned_and_measured():
    assert len(layer_frame(random_hotness(5, iterations=1), TINY, [4], 50)) == 6


def test_the_time_to_first_token_counts_every_layer_of_the_model():
    frame = layer_frame(random_hotness(1, iterations=40), TINY, [2, 4], 50, chip=SLOW)
    prefill = prefill_frame(frame, TINY).set_index(["ep", "placement"])
    layer_us = frame[(frame.ep == 4) & (frame.placement == "initial")].layer_us
    assert prefill.prefill_ms[4, "initial"] == pytest.approx(layer_us.mean() * 10 / 1000)
    assert (prefill.added_ms >= 0).all() and (prefill.times_ideal >= 1).all()
    assert prefill.added_ms[4, "ideal"] == 0 and prefill.times_ideal[2, "ideal"] == 1


@pytest.mark.parametrize(
    ("hotness", "message"),
    [
        (np.ones((2, 12)), "expected numbers"),
        (np.ones((0, 1, 12)), "expected numbers"),
        (np.zeros((1, 1, 12)), "0 for a whole layer"),
        (np.full((1, 1, 12), -1), "negative"),
        (np.full((1, 1, 12), np.nan), "not finite"),
        (np.array([[["a"]]]), "expected numbers"),
    ],
)
def test_impossible_hotness_is_refused(hotness, message):
    for call in (
        lambda: measured_skew(hotness, contiguous(12, 4)),
        lambda: upper_bound(hotness, 4),
        lambda: layer_frame(hotness, TINY, [4], 50),
        lambda: ideal(hotness, 4, TINY, 50),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_impossible_tables_models_and_numbers_are_refused():
    hotness = np.ones((1, 1, 12))
    for table, message in (
        (contiguous(12, 4, 2), "of 1 layers"),
        (contiguous(12, 4)[0], "expected integers"),
        (contiguous(12, 4) * 1.0, "expected integers"),
        (contiguous(12, 4) + 1, "expected experts 0 .. 11, or -1"),
        (np.where(contiguous(12, 4) == 5, 4, contiguous(12, 4)), r"experts \[5\] have no slot in layer 0"),
    ):
        with pytest.raises(ValueError, match=message):
            measured_skew(hotness, table)
    with pytest.raises(ValueError, match="the hotness is of 12 experts; expected the 256 of deepseek-v3"):
        estimate(hotness, contiguous(12, 4), V3, 1, CHIP)
    with pytest.raises(ValueError, match="tokens is 0"):
        estimate(hotness, contiguous(12, 4), TINY, 0)
    with pytest.raises(ValueError, match="expected a divisor of the 12 experts"):
        layer_frame(hotness, TINY, [5], 1)
    with pytest.raises(ValueError, match=r"table for ep 4 has the shape \[1, 3, 4\]"):
        layer_frame(hotness, TINY, [4], 1, {4: contiguous(12, 3)})
    for load, active in ((np.zeros(4), 1), (np.array([1, -1, 3]), 1), (np.ones(4), 5), (np.ones(4), 0)):
        with pytest.raises(ValueError, match="expected"):
            fit(load, active)
