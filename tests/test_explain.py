"""Why a case costs what it costs: heat map, costliest windows, largest redeployment, calls."""

import json

import numpy as np
import pytest

from cases import A0, Answers, B, C, P, make_case, make_trace, random_rows, redeploy, steady_trace
from placement.explain import BINS, CALLS, bin_starts, explain, heat_map
from placement.replay import replay
from placement.shifts import shifts


def decline(*_):
    return None


def planted_trace():
    """24 iterations of ones; in layer 1 expert 2 is hot in 9 .. 12, most of all in 11; layer 0 a little in 14."""
    hotness = np.ones((24, 2, 4), np.int32)
    hotness[8:12, 1, 2] = [41, 41, 81, 41]
    hotness[13, 0, 0] = 5
    return make_trace(hotness)


# Heat map


@pytest.mark.parametrize("iterations", [9, 63, BINS, 65, 130, 200])
def test_heat_map_is_the_mean_par_of_each_layer_over_each_bin(iterations):
    trace = make_trace(np.random.default_rng(1).integers(1, 50, (iterations, 3, 4)))
    measured = replay(trace, make_case(layers=3), decline)
    explained = explain(measured, trace)
    starts = explained["bin_starts"]
    assert starts[0] == 1 and len(starts) == min(iterations, BINS) and len(explained["heat_map"]) == 3
    sizes = np.diff([*starts, iterations + 1])
    assert sizes.min() >= 1 and sizes.max() - sizes.min() <= 1
    for layer, heat in enumerate(explained["heat_map"]):
        bins = np.split(measured.par[:, layer], np.array(starts[1:]) - 1)
        assert heat == pytest.approx([values.mean() for values in bins], abs=0.00006)
        assert np.dot(heat, sizes) / iterations == pytest.approx(measured.par[:, layer].mean(), abs=0.00006)


def test_the_binning_is_there_for_any_par():
    par = np.arange(260.0).reshape(130, 2)
    assert bin_starts(130)[:3].tolist() == [0, 2, 4] and bin_starts(3).tolist() == [0, 1, 2]
    assert heat_map(par).shape == (2, BINS)
    assert heat_map(par)[:, :2].tolist() == [[1.0, 5.0], [2.0, 6.0]]
    assert heat_map(par[:1] + 1 / 3).tolist() == [[0.3333], [1.3333]]


@pytest.mark.parametrize("iterations", [1, 9, BINS, 65, 100, 127, 130, 512, 5120])
def test_an_iteration_at_a_bin_s_border_is_the_later_bin_s_first(iterations):
    # A border between two iterations belongs to the bin that it cuts: rounded down, exactly.
    assert bin_starts(iterations).tolist() == sorted({number * iterations // BINS for number in range(BINS)})


# Shifts


def test_a_switch_is_where_the_loads_shift_and_nothing_shifts_elsewhere():
    hotness = np.tile([[6, 2]], (8 * BINS, 2, 1))
    hotness[4 * BINS :, 0] = [2, 6]
    # Half of the load of one layer of two goes to the other expert.
    found = explain(replay(make_trace(hotness), make_case(experts=2), decline), make_trace(hotness))["shifts"]
    switch = BINS // 2
    assert found[switch - 2 : switch + 3] == [0.125, 0.25, 0.25, 0.125, 0.0]
    assert len(found) == BINS and sum(found) == pytest.approx(0.75)


@pytest.mark.parametrize("iterations", [1, 4, 5, 64, 1000])
def test_shifts_are_those_of_sums_over_the_middle_of_each_bin(iterations):
    hotness = np.random.default_rng(iterations).integers(1, 90, (iterations, 3, 5))
    starts = bin_starts(iterations)
    loads = []
    for first, stop in zip(starts, [*starts[1:], iterations], strict=True):
        begin = max((first + stop) // 2 - 4, 0)
        layers = hotness[begin : begin + 8].sum(axis=0)
        loads.append(layers / layers.sum(axis=1, keepdims=True))
    found = shifts(make_trace(hotness), starts)
    for place, shift in enumerate(found):
        if 2 <= place < len(starts) - 2:
            pair = [(loads[place - 2] + loads[place - 1]) / 2, (loads[place + 1] + loads[place + 2]) / 2]
            assert shift == pytest.approx(np.abs(pair[0] - pair[1]).sum(axis=1).mean() / 2)
        else:
            assert shift == 0


# Costliest windows


def test_the_costliest_window_names_iteration_layer_device_and_the_hot_expert():
    trace = planted_trace()
    worst = explain(replay(trace, make_case(window=4, latency=2), decline), trace)["costliest_windows"][0]
    # Device 1 holds experts 2 3 3. In iteration 11 it carries 81 + 1 of 84, in the others 41 + 1 of 44.
    assert worst == {
        "first_iteration": 9,
        "last_iteration": 12,
        "mean_par": round((3 * 84 / 44 + 164 / 84 + 4) / 8, 6),
        "layers": [
            {
                "layer": 1,
                "mean_par": round((3 * 84 / 44 + 164 / 84) / 4, 6),
                "iteration": 11,
                "par": round(164 / 84, 6),
                "device": 1,
                "device_load": 82.0,
                "mean_load": 42.0,
                "experts": [
                    {"expert": 2, "hotness": 81, "replicas": 1},
                    {"expert": 3, "hotness": 1, "replicas": 2},
                ],
            },
            {
                "layer": 0,
                "mean_par": 1.0,
                "iteration": 9,
                "par": 1.0,
                "device": 0,
                "device_load": 2.0,
                "mean_load": 2.0,
                "experts": [
                    {"expert": 0, "hotness": 1, "replicas": 1},
                    {"expert": 1, "hotness": 1, "replicas": 2},
                ],
            },
        ],
    }


def test_windows_come_costliest_first_and_equal_ones_in_order_of_time():
    trace = planted_trace()
    windows = explain(replay(trace, make_case(window=4, latency=2), decline), trace)["costliest_windows"]
    assert [(window["first_iteration"], window["last_iteration"]) for window in windows] == [
        (9, 12),
        (13, 16),
        (17, 20),
    ]
    assert windows[1]["layers"][0]["layer"] == 0 and windows[1]["layers"][0]["iteration"] == 14


def test_the_last_window_ends_with_the_trace():
    hotness = np.ones((14, 1, 4), np.int32)
    hotness[13, 0, 3] = 9
    trace = make_trace(hotness)
    windows = explain(replay(trace, make_case(layers=1, window=4, latency=2), decline), trace)["costliest_windows"]
    assert [(window["first_iteration"], window["last_iteration"]) for window in windows] == [(13, 14), (9, 12)]


def test_a_window_lists_its_three_costliest_layers_and_a_device_its_three_hottest_experts():
    hotness = np.ones((9, 5, 8), np.int32)
    for layer, hot in enumerate([3, 9, 1, 7, 5]):
        hotness[:, layer, 1] = hot
    trace = make_trace(hotness)
    measured = replay(trace, make_case(5, 8, 2, window=3), decline)
    layers = explain(measured, trace)["costliest_windows"][0]["layers"]
    assert [layer["layer"] for layer in layers] == [1, 3, 4]
    assert [expert["expert"] for expert in layers[0]["experts"]] == [1, 0, 2]


@pytest.mark.parametrize(
    ("rows", "experts"),
    [
        # Device 0 gets 12 / 3 of expert 0, 7 of 1 and 3 of 2.
        ([[0, 1, 2], [0, 0, 3]], [1, 0, 2]),
        # Device 0 gets both halves of expert 0, so 12, and 7 of 1.
        ([[0, 1, 0], [2, 2, 3]], [0, 1]),
    ],
)
def test_experts_of_the_hottest_device_come_in_order_of_the_load_they_bring(rows, experts):
    trace = steady_trace(12, layers=1, hotness=(12, 7, 3, 1))
    answers = Answers(redeploy([0], [rows]), None)
    windows = explain(replay(trace, make_case(layers=1), answers), trace)["costliest_windows"]
    layers = [window["layers"][0] for window in windows if window["first_iteration"] > 5]
    assert layers and all(layer["device"] == 0 for layer in layers)
    assert [[expert["expert"] for expert in layer["experts"]] for layer in layers] == [experts] * len(layers)


def test_the_hottest_device_is_that_of_the_rows_the_iteration_was_measured_with():
    hotness = np.ones((9, 1, 4), np.int32)
    hotness[5:, 0, 0] = 50
    trace, moved = make_trace(hotness), [[2, 3, 3], [0, 1, 1]]
    case = make_case(layers=1)
    windows = explain(replay(trace, case, Answers(redeploy([0], [moved]), None)), trace)["costliest_windows"]
    # Applied in iteration 5: from 6 on expert 0 is on device 1.
    assert windows[0]["first_iteration"] == 6 and windows[0]["layers"][0]["device"] == 1
    stayed = explain(replay(trace, case, decline), trace)["costliest_windows"]
    assert stayed[0]["first_iteration"] == 6 and stayed[0]["layers"][0]["device"] == 0


def test_windows_begin_after_the_iterations_that_are_the_same_for_every_policy():
    trace = steady_trace(5)
    assert explain(replay(trace, make_case(), decline), trace)["costliest_windows"] == []
    assert explain(replay(trace, make_case(), decline), trace)["fixed_iterations"] == 5


# Calls


def test_a_call_says_what_was_listed_applied_and_changed_and_what_par_did():
    trace = steady_trace(12)
    measured = replay(trace, make_case(), Answers(redeploy([1, 0], [B, P]), redeploy([0], [C, P])))
    # At first both devices of both layers hold an expert twice; P keeps those of layer 1, B has none, C one.
    assert explain(measured, trace)["calls"] == [
        {"iteration": 4, "listed": 2, "applied": 2, "changed": 5, "par_before": 1.5, "par_after": 1.25}
        | {"repeating_devices": 2},
        {"iteration": 10, "listed": 1, "applied": 1, "changed": 1, "par_before": 1.25, "par_after": 1.375}
        | {"repeating_devices": 3},
    ]


def test_a_call_that_declines_or_is_cut_off_has_no_par_after():
    trace = steady_trace(8)
    declined, cut = explain(replay(trace, make_case(), Answers(None, redeploy([0], [B, P]))), trace)["calls"]
    assert (declined["listed"], declined["applied"], declined["par_after"]) == (0, 0, None)
    assert (cut["listed"], cut["applied"], cut["par_after"]) == (1, 0, None)


def test_only_the_first_calls_are_told():
    trace = steady_trace(2 * CALLS + 10)
    assert len(explain(replay(trace, make_case(window=1), decline), trace)["calls"]) == CALLS


# Largest redeployment


def test_without_redeployments_there_is_no_largest():
    trace = steady_trace()
    assert explain(replay(trace, make_case(), decline), trace)["largest_redeployment"] is None


def test_the_largest_redeployment_shows_loads_of_the_windows_around_its_largest_layer():
    spans = [(7, [1, 1, 1, 9]), (3, [4, 2, 1, 1]), (3, [2, 2, 2, 10]), (7, [9, 1, 1, 1])]
    trace = make_trace([[hotness] * 2 for count, hotness in spans for _ in range(count)])
    answers = Answers(redeploy([0], [B, P]), redeploy([1, 0], [C, B]), None, None)
    largest = explain(replay(trace, make_case(), answers), trace)["largest_redeployment"]
    # Call 1, at 4, changes 3 slots in iteration 5. Call 2, at 9, changes 3 of layer 1 in 10, then 1 of layer 0.
    # Layer 1 had A0 in 8 .. 10 (loads 6 and 2) and has B in 11 .. 13 (loads 4 and 12).
    assert largest == {
        "call": 2,
        "first_iteration": 10,
        "last_iteration": 11,
        "changed": 4,
        "layer": 1,
        "loads_before": [1.5, 0.5],
        "loads_after": [0.5, 1.5],
    }


def test_loads_around_a_redeployment_are_of_one_window_each_and_of_no_iteration_more():
    # The call comes in iteration 3; the new rows, which swap the devices, are applied in 4 and count from 5 on.
    trace = make_trace([[[load, 1, 1, 1]] for load in (90, 90, 4, 10, 10, 16, 90)])
    answers = Answers(redeploy([0], [[[2, 3, 3], [0, 1, 1]]]), None)
    largest = explain(replay(trace, make_case(layers=1, window=2), answers), trace)["largest_redeployment"]
    # Before: iterations 3 and 4, loads of 7 + 1 and 2. After: 5 and 6, loads of 2 and 13 + 1.
    assert (largest["loads_before"], largest["loads_after"]) == ([1.6, 0.4], [0.25, 1.75])


def test_of_equal_redeployments_the_first_and_of_equal_layers_the_lower_one_is_shown():
    trace = steady_trace(12)
    answers = Answers(redeploy([1, 0], [B, B]), redeploy([0, 1], [A0, A0]))
    largest = explain(replay(trace, make_case(), answers), trace)["largest_redeployment"]
    assert (largest["call"], largest["changed"], largest["layer"]) == (1, 6, 0)


def test_a_redeployment_in_the_last_iteration_has_no_loads_after_it():
    trace = steady_trace(5)
    largest = explain(replay(trace, make_case(), Answers(redeploy([0], [B, B]))), trace)["largest_redeployment"]
    assert (largest["loads_before"], largest["loads_after"]) == ([1.5, 0.5], [])


def test_loads_are_relative_to_a_mean_device_of_one():
    rng = np.random.default_rng(4)
    trace, case = make_trace(rng.integers(1, 50, (40, 2, 8))), make_case(2, 8, 4, window=9)
    table = [random_rows(rng, 8, 4) for _ in range(2)]
    largest = explain(replay(trace, case, lambda *_: redeploy([0, 1], table)), trace)["largest_redeployment"]
    for loads in (largest["loads_before"], largest["loads_after"]):
        assert len(loads) == 4 and len(set(loads)) > 1
        assert np.mean(loads) == pytest.approx(1, abs=0.00006)


def test_an_explanation_is_strict_json():
    trace = planted_trace()
    explained = explain(replay(trace, make_case(), lambda *_: redeploy([1, 0], [B, P])), trace)
    assert explained["largest_redeployment"]["loads_after"]
    assert json.loads(json.dumps(explained, allow_nan=False)) == explained
