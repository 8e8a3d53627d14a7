"""The two studies of the champion's planner: what their forecasts say of loads that are known."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import kit
from judging.studies import kernel_forecast, return_hedge
from judging.studies.kernel_forecast import components, likeness, slope, to_come, trailing, weighted
from judging.studies.return_hedge import explained_by
from judging.variants import STUDIES, write_policies
from kit_world import write_kit_world
from planning.memory import Memory


@dataclass
class Sizes:
    """What the forecasts ask of a case."""

    layers: int
    experts: int
    devices: int = 2


def windows(*shares: tuple[float, ...], iterations: int = 32, tokens: int = 10_000) -> np.ndarray:
    """Iterations of one layer, as many for each of the shares."""
    loads = np.round(tokens * np.array(shares)).astype(int)
    return np.repeat(loads, iterations // len(loads), axis=0)[:, None]


def after(kind: type, *seen: np.ndarray) -> np.ndarray:
    """The loads of one layer that a study forecasts after windows."""
    policy = kind(Sizes(1, seen[0].shape[2]))
    for window in seen:
        policy.remember(window)
        forecast = policy.forecast()
    assert (forecast.variance >= 0).all() and forecast.load.sum() == pytest.approx(1)
    return forecast.load[0]


def test_blocks_are_like_now_by_their_distance_in_total_variation() -> None:
    memory = Memory(1, 2, blocks=2)
    memory.add(np.array([[[600, 400]], [[400, 600]]]))
    # Now, at the second block, is .5 of both: 1 - H^2 = (.3 ** .5 + .2 ** .5) * .5 ** .5 ... with .6 * .5 and .4 * .5.
    squared = 1 - (math.sqrt(0.6 * 0.5) + math.sqrt(0.4 * 0.5))
    sampling = 1 / 8 * (1 + 1 / 2) / 1000
    expected = math.exp(-4 / math.pi * (squared - sampling) / 0.01)
    # The first block's now is itself, and less than sampling gives is no distance.
    assert likeness(memory)[0, 0] == 1
    np.testing.assert_allclose(likeness(memory)[1], [expected, expected], rtol=1e-5)


def test_the_distance_is_about_the_total_variation_where_differences_are_normal() -> None:
    rng = np.random.default_rng(1)
    first, second = np.maximum(1 + 0.1 * rng.standard_normal((2, 4000)), 0)
    first, second = first / first.sum(), second / second.sum()
    squared = 1 - np.sqrt(first * second).sum()
    assert math.sqrt(4 / math.pi * squared) == pytest.approx(np.abs(first - second).sum() / 2, rel=0.02)


def test_weights_sum_to_one_and_a_part_is_shared_by_what_counts() -> None:
    like = np.array([[1.0, 0.0], [0.25, 0.75]])
    np.testing.assert_allclose(weighted(like, 0.0), like)
    np.testing.assert_allclose(weighted(like, 0.2), [[1.0, 0.0], [0.3, 0.7]])


@pytest.mark.parametrize("count", [1, 5, 6, 11])
def test_means_slopes_and_what_is_to_come_equal_slow_loops(count: int) -> None:
    blocks = np.random.default_rng(count).random((count, 4))
    means = [blocks[max(0, t - 2) : t + 1].mean(axis=0) for t in range(count)]
    np.testing.assert_allclose(trailing(blocks, 3), means)
    slopes = [np.zeros(4) if t < 5 else means[t] - means[t - 3] for t in range(count)]
    np.testing.assert_allclose(slope(blocks, 3), slopes, atol=1e-12)
    times = np.arange(count - 1)
    coming = [blocks[t + 1 : t + 1 + 4].mean(axis=0) for t in times]
    np.testing.assert_allclose(to_come(blocks, times, 4), np.reshape(coming, (-1, 4)))


def test_components_of_all_directions_have_the_rows_covariance() -> None:
    rows = np.random.default_rng(2).random((5, 7))
    np.testing.assert_allclose(components(rows).T @ components(rows), rows.T @ rows)
    assert len(components(np.eye(12))) == 8


@pytest.mark.parametrize("kind", [kernel_forecast.Policy, return_hedge.Policy])
def test_steady_loads_are_forecast_as_they_are(kind: type) -> None:
    still = windows((0.4, 0.3, 0.2, 0.1))
    np.testing.assert_allclose(after(kind, still, still, still), [0.4, 0.3, 0.2, 0.1], atol=1e-6)


def test_what_was_before_a_switch_counts_again_when_it_returns() -> None:
    here, there = windows((0.4, 0.3, 0.2, 0.1)), windows((0.1, 0.2, 0.3, 0.4))
    policy = kernel_forecast.Policy(Sizes(1, 4))
    for window in (here, there, here):
        policy.remember(window)
    like = likeness(policy.memory)[-1]
    assert (like[:32] == 1).all() and (like[32:64] < 1e-6).all() and (like[64:] == 1).all()


def test_a_steady_drift_is_extrapolated_by_what_is_left_of_its_slope() -> None:
    shares = 0.5 + 0.002 * np.arange(64)
    policy = kernel_forecast.Policy(Sizes(1, 2))
    for part in (shares[:32], shares[32:]):
        policy.remember(windows(*zip(part, 1 - part, strict=True)))
    blocks = policy.memory.means.reshape(64, 2).astype(float)
    known = weighted(np.tril(likeness(policy.memory)), 0.0) @ blocks
    # Every slope is the median's, 4 * 0.002, so that sqrt(1 - 0.8^2) of its multiple is left.
    missed = to_come(blocks, np.arange(7, 56), 32)[:, 0] - known[7:56, 0]
    added = 0.6 * missed.mean()
    assert added > 0.03
    np.testing.assert_allclose(policy.forecast().load[0], known[-1] + [added, -added], atol=1e-4)


def test_too_few_blocks_to_fit_a_slope_are_no_fault() -> None:
    few = windows((0.75, 0.25), (0.25, 0.75), iterations=2)
    np.testing.assert_allclose(after(return_hedge.Policy, few), [0.5, 0.5], atol=0.01)


def test_what_earlier_directions_explain_is_hand_counted() -> None:
    before = np.array([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]])
    explained, whole = explained_by(before, np.array([[3.0, 0.0, 0.0], [0.0, 0.0, 2.0]]))
    assert (explained, whole) == pytest.approx((9.0, 13.0))


def test_the_hedge_is_larger_where_topics_return_than_where_each_is_new() -> None:
    rng = np.random.default_rng(3)
    topics = rng.dirichlet(np.ones(24), size=16)
    returning, anew = [windows(*topics[:4])] * 4, [windows(*topics[4 * t : 4 * t + 4]) for t in range(4)]
    hedges = []
    for seen in (returning, anew):
        policy = return_hedge.Policy(Sizes(1, 24))
        for window in seen:
            policy.remember(window)
            hedge = policy.hedge(policy.memory.means.reshape(len(policy.memory.means), -1).astype(float))
        hedges.append(hedge)
    assert hedges[0] > 0.1 > 0.01 > hedges[1]


def test_stretches_are_looked_at_once_and_add_up_the_same() -> None:
    blocks = np.random.default_rng(4).random((64, 20))
    step, whole = (return_hedge.Policy(Sizes(1, 20)) for _ in range(2))
    for count in (32, 48, 64):
        hedge = step.hedge(blocks[:count])
    assert hedge == pytest.approx(whole.hedge(blocks)) and 0 < hedge < 1


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_runs_as_a_submission(tmp_path: Path, name: str) -> None:
    folder = write_policies(tmp_path / "policies")[name]
    world = write_kit_world(tmp_path / "world")
    frame = kit.run(folder, world / "grid.yaml", world / "traces", world / "reference")
    assert (frame["status"] == "ok").all() and (frame["calls"] > 1).all()
