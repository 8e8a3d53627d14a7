"""The yardstick: DS-EPLB fed with the hotness of the coming cycle, moves free."""

import numpy as np
import pytest

from cases import make_case, make_trace, random_sizes, steady_trace
from placement.clairvoyant import clairvoyant_par, ds_eplb_calls
from placement.replay import replay
from plain_clairvoyant import plain_clairvoyant
from traces.reference import ds_eplb_policy


def test_each_cycle_is_measured_with_the_plan_of_its_own_hotness():
    # One layer, experts 0 and 1 on 2 devices of 2 slots; window 1, so DS-EPLB is called at 2, 5 and 8.
    # 1-2: rows 0 0 | 1 1 from the start. 3-5 add up to 27, 9: three replicas of expert 0, rows 0 0 | 1 0.
    # 6-8 add up to 9, 27: rows 0 1 | 1 1. 9, cut off by the end, is 6, 2: rows 0 0 | 1 0.
    hotness = [(3, 1)] * 2 + [(7, 1), (9, 3), (11, 5)] + [(3, 9)] * 3 + [(6, 2)]
    trace = make_trace([[step] for step in hotness])
    par = clairvoyant_par(trace, make_case(layers=1, experts=2, devices=2, window=1))
    assert par.shape == (9, 1) and par.dtype == np.float64
    # 3: devices carry 14/3 and 1 + 7/3 of 8. 5: 22/3 and 5 + 11/3 of 16.
    assert par[:, 0].tolist() == pytest.approx([1.5, 1.5, 7 / 6, 1, 13 / 12, 1, 1, 1, 1])


@pytest.mark.parametrize("seed", range(24))
def test_random_cases_measure_what_the_slow_loop_measures(seed):
    rng = np.random.default_rng(seed)
    experts, redundant, devices = random_sizes(rng, most_devices=4)
    layers, window, latency = int(rng.integers(1, 4)), int(rng.integers(1, 5)), int(rng.integers(0, 3))
    iterations = window + 2 + int(rng.integers(0, 25))
    hotness = rng.integers(0, 40, (iterations, layers, experts)).astype(np.int32)
    case = make_case(layers, experts, devices, window, latency, redundant=redundant)
    expected = plain_clairvoyant(hotness, devices, window, latency, redundant)
    np.testing.assert_allclose(clairvoyant_par(make_trace(hotness), case), expected, rtol=1e-12)


def test_a_call_in_the_last_iteration_plans_nothing():
    trace, case = steady_trace(10), make_case()
    assert list(ds_eplb_calls(case, 10)) == [4, 10]
    # The plan for 4 2 1 1 is [1 0 3][0 0 2], with 13/3 on the first device of a total of 8.
    assert clairvoyant_par(trace, case)[:, 1].tolist() == pytest.approx([1.5] * 4 + [13 / 12] * 6)


@pytest.mark.parametrize("latency", [0, 2])
@pytest.mark.parametrize("iterations", [5, 9, 10, 12, 30])
def test_it_is_called_when_ds_eplb_is(iterations, latency):
    trace, case = steady_trace(iterations), make_case(latency=latency)
    assert list(ds_eplb_calls(case, iterations)) == replay(trace, case, ds_eplb_policy(trace, case)).calls


def test_sums_beyond_32_bits_are_exact():
    # Two of these are -2 in 32 bits: expert 3 would get no replica and stay on one device, with PAR 2.
    hotness = np.ones((6, 1, 4), np.int32)
    hotness[:, 0, 3] = 2**31 - 1
    par = clairvoyant_par(make_trace(hotness), make_case(layers=1))
    # Its three replicas lie on two devices.
    assert par[:, 0].tolist() == pytest.approx([2.0] * 4 + [4 / 3] * 2)
