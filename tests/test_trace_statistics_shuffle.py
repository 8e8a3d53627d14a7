"""The shuffle null, what covariance is worth, and the family a trace resembles."""

from __future__ import annotations

import math

import numpy as np
import pytest

from traces.statistics.blocks import half_sums, shares
from traces.statistics.covariance import covariance_worth, device_par, place
from traces.statistics.drift_figures import DriftFigures, drift_figures
from traces.statistics.family import families
from traces.statistics.shuffle import shuffle
from traces.statistics.slow import zero_lag

EXPERTS, LAYERS, ITERATIONS, COUNTS, WINDOW = 32, 3, 2048, 2000, 256
RNG = np.random.default_rng(1)
BASE = 0.5 * RNG.standard_normal((LAYERS, EXPERTS))
PUSH = 0.3 * RNG.standard_normal((LAYERS, EXPERTS))
TIME = np.arange(ITERATIONS)[:, None, None]
# A wave of 512 iterations: all experts at its crest at once, or each one in a phase of its own.
TOGETHER = np.cos(2 * np.pi * TIME / 512) * PUSH
ALONE = np.cos(2 * np.pi * (TIME / 512 + RNG.random((LAYERS, EXPERTS)))) * np.sqrt((PUSH**2).mean())


def draw(log_loads: np.ndarray) -> np.ndarray:
    """Even and odd sums of blocks of 16 of multinomial counts, with totals that vary."""
    rng = np.random.default_rng(2)
    loads = np.exp(np.broadcast_to(log_loads, (ITERATIONS, LAYERS, EXPERTS)))
    totals = rng.integers(COUNTS // 2, COUNTS * 3 // 2, (ITERATIONS, 1))
    return half_sums(rng.multinomial(totals, loads / loads.sum(axis=-1, keepdims=True)), 16)


DRIFTING, STEADY = draw(BASE + TOGETHER), draw(BASE)


@pytest.fixture(scope="module")
def figures() -> dict[str, tuple[DriftFigures, DriftFigures]]:
    """Of each trace and of its shuffle null."""
    traces = {"drifting": DRIFTING, "alone": draw(BASE + ALONE), "steady": STEADY}
    return {
        name: (drift_figures(halves, WINDOW), drift_figures(shuffle(halves, 0), WINDOW))
        for name, halves in traces.items()
    }


# blocks and the zero of a curve


def test_even_and_odd_iterations_add_up_apart() -> None:
    hotness = np.arange(18).reshape(9, 1, 2)
    assert half_sums(hotness, 4).tolist() == [[[[4, 6]], [[20, 22]]], [[[8, 10]], [[24, 26]]]]


@pytest.mark.parametrize(
    ("curve", "lag"), [([1, 0.5, -0.5, 0.2], 1.5), ([1, 0.3, 0, 0.1], 2), ([1, 0.5, 0.2], math.nan), ([], math.nan)]
)
def test_a_curve_reaches_zero_between_two_lags(curve: list[float], lag: float) -> None:
    assert zero_lag(np.array(curve)) == pytest.approx(lag, nan_ok=True)


# shuffle


def test_an_experts_blocks_stay_whole_and_keep_their_shares() -> None:
    halves = np.array([[[[6, 4]], [[2, 8]], [[5, 5]]], [[[7, 3]], [[1, 9]], [[4, 6]]]])
    shuffled = shuffle(halves, 3)
    assert shuffled.shape == halves.shape and (shuffled != halves).any()
    for expert in range(2):
        pairs = halves[:, :, 0, expert].T.tolist()
        assert sorted(shuffled[:, :, 0, expert].T.tolist()) == sorted(pairs)


def test_shuffled_counts_are_shares_of_the_mean_total() -> None:
    # Totals of 10 and 30; the first expert has a half of each.
    halves = np.array([[[[5, 5]], [[15, 15]]]] * 2)
    assert shuffle(halves, 0).tolist() == [[[[10, 10]], [[10, 10]]]] * 2


def test_a_seed_gives_one_order_and_each_expert_has_its_own() -> None:
    assert np.array_equal(shuffle(DRIFTING, 1), shuffle(DRIFTING, 1))
    assert not np.array_equal(shuffle(DRIFTING, 1), shuffle(DRIFTING, 2))
    # Two experts that are always loaded alike, of totals of 100, are so no longer.
    load = np.arange(1, 9)
    twins = np.array([np.stack([load, load, 100 - 2 * load], axis=1)[:, None]] * 2)
    assert (shuffle(twins, 0)[0, :, 0, 0] != shuffle(twins, 0)[0, :, 0, 1]).any()


# what covariance is worth

# The first expert moves with the last, against the other two; the middle ones are the nearest to it in load.
HAND = np.array([[32, 21, 19, 28], [22, 31, 29, 18]])[:, None]


def test_a_placement_that_knows_covariances_by_hand() -> None:
    share = shares(HAND).transpose(1, 2, 0)
    alone, knowing = place(share, 2, False), place(share, 2, True)
    # By load alone: first and last together, .6 or .4 of all. Against each other: first and third, always .51.
    assert alone[0, :, 0].tolist() == [True, False, False, True]
    assert knowing[0, :, 0].tolist() == [True, False, True, False]
    assert device_par(share, alone) == pytest.approx(1.2) and device_par(share, knowing) == pytest.approx(1.02)


def test_covariance_is_worth_what_lasts_into_the_next_window() -> None:
    assert covariance_worth(np.concatenate([HAND, HAND]), 2) == pytest.approx(1 - 1.02 / 1.2)
    # In the next window the first moves with the third: what was learned gives 1.2 in the place of 1.
    other = np.array([[32, 21, 29, 18], [22, 31, 19, 28]])[:, None]
    assert covariance_worth(np.concatenate([HAND, other]), 2) == pytest.approx(1 - 1.2)


def test_places_are_used_up_where_experts_do_not_divide() -> None:
    share = np.random.default_rng(5).dirichlet(np.ones(19), (2, 6)).transpose(0, 2, 1)
    for known in (True, False):
        placement = place(share, 2, known)
        assert (placement.sum(axis=2) == 1).all() and placement.sum(axis=1).max() == 10


@pytest.mark.parametrize("shape", [(8, 2, 1), (3, 2, 8), (2, 2, 8)])
def test_covariance_needs_windows_of_two_blocks_and_two_experts(shape: tuple[int, ...]) -> None:
    assert math.isnan(covariance_worth(np.ones(shape, np.int64), 4))


# a trace and its null


def test_shuffled_drift_has_no_order_in_time(figures: dict[str, tuple[DriftFigures, DriftFigures]]) -> None:
    for name in ("drifting", "alone"):
        trace, shuffled = figures[name]
        assert trace.zero_lag == pytest.approx(128, abs=8)
        assert trace.returning == pytest.approx(-1, abs=0.08)
        assert np.abs(shuffled.slow.autocorrelation[1:8]).max() < 0.15
        assert shuffled.half_window_tv_excess < trace.half_window_tv_excess / 2


def test_covariance_is_worth_something_only_where_experts_move_together(
    figures: dict[str, tuple[DriftFigures, DriftFigures]],
) -> None:
    assert figures["drifting"][0].covariance_worth > 0.015
    for figure in (figures["drifting"][1], *figures["steady"], figures["alone"][1]):
        assert figure.covariance_worth == pytest.approx(0, abs=0.006)
    assert figures["drifting"][0].together > 0.3
    assert figures["drifting"][1].together == pytest.approx(0, abs=0.04)


def test_one_order_for_all_experts_would_leave_covariance() -> None:
    order = np.random.default_rng(0).permutation(DRIFTING.shape[1])
    assert drift_figures(DRIFTING[:, order], WINDOW).covariance_worth > 0.015


def test_a_steady_trace_and_its_null_are_alike(figures: dict[str, tuple[DriftFigures, DriftFigures]]) -> None:
    trace, shuffled = figures["steady"]
    assert trace.lasting == pytest.approx(0, abs=0.03) and math.isnan(trace.zero_lag) and math.isnan(trace.together)
    assert trace.half_window_tv == pytest.approx(shuffled.half_window_tv, rel=0.1)


# families


def test_traces_of_known_kinds_resemble_their_families(
    figures: dict[str, tuple[DriftFigures, DriftFigures]],
) -> None:
    found = {
        name: families(of.lasting, of.together, of.returning, of.zero_lag, ITERATIONS)
        for name, (of, _) in figures.items()
    }
    assert found["drifting"] == ["profiles"] and found["steady"] == ["stationary"]


@pytest.mark.parametrize(
    ("lasting", "together", "returning", "expected"),
    [
        (0.04, 0.3, -0.9, ["stationary"]),
        (0.9, math.nan, math.nan, ["stationary"]),
        (0.1, 0.3, -0.9, ["stationary", "profiles"]),
        (0.9, 0.01, -0.9, ["independent"]),
        (0.9, 0.06, -0.1, ["independent"]),
        (0.9, 0.08, -0.1, ["independent", "requests"]),
        (0.9, 0.1, -0.35, ["requests"]),
        (0.9, 0.2, -0.45, ["profiles"]),
        (0.9, 0.2, -0.4, ["requests", "profiles"]),
        (0.9, 0.2, math.nan, ["requests", "profiles"]),
    ],
)
def test_three_figures_decide_the_family(
    lasting: float, together: float, returning: float, expected: list[str]
) -> None:
    assert families(lasting, together, returning, 500, 6144) == expected


def test_turning_back_once_may_be_chance() -> None:
    assert families(0.9, 0.2, -0.9, 500, 4000) == ["profiles"]
    assert families(0.9, 0.2, -0.9, 500, 3999) == ["requests", "profiles"]
    assert families(0.9, 0.2, -0.1, 1000, 4000) == ["requests"]


def test_a_short_trace_tells_only_whether_it_is_stationary() -> None:
    for together, returning in ((0.01, math.nan), (0.5, -0.1), (0.5, -0.9)):
        assert families(0.9, together, returning, 50, 2047) == ["independent", "requests", "profiles"]
    assert families(0.01, 0.5, -0.9, 50, 2047) == ["stationary"]
