"""Synthetic routing: each kind has the property that it is named after, and the scores are those of the choices."""

from __future__ import annotations

import numpy as np
import pytest

from lab.traces.batches import Batches
from lab.traces.generators import GENERATORS, Sample, bursty, clustered, drifting, top, uniform, zipf
from lab.traces.routing_trace import RoutingTrace
from lab.traces.statistics import burstiness, coactivation

TOKENS = 20 * 1024


def top_lift(batches: Batches, weighted: bool = False) -> float:
    """Mean lift between two of the 40 hottest experts: tokens of a pair over those expected of independent experts."""
    count = batches.load.sum(axis=0)
    hot = np.argsort(-count, kind="stable")[:40]
    pairs = coactivation(batches.choices, batches.experts)[np.ix_(hot, hot)]
    lift = pairs * len(batches.choices) / np.outer(count[hot], count[hot])
    return float(np.average(lift, weights=pairs if weighted else ~np.eye(40, dtype=bool)))


def _drift(trace: RoutingTrace) -> float:
    """Correlation of the experts' loads in the first and the last batch."""
    load = trace.batches(0, 1024).load
    return float(np.corrcoef(load[0], load[-1])[0, 1])


@pytest.mark.parametrize("make", GENERATORS.values(), ids=GENERATORS)
def test_a_trace_is_valid_and_the_same_seed_draws_it_again(make) -> None:
    first, again, other = (make(Sample(3000, experts=32, k=4, layers=2, seed=seed)) for seed in (5, 5, 6))
    assert first.choices.shape == (2, 3000, 4) and first.layers == (0, 1)
    assert (first.choices == again.choices).all() and (first.choices != other.choices).any()
    assert (first.choices[0] != first.choices[1]).any()


@pytest.mark.parametrize("make", GENERATORS.values(), ids=GENERATORS)
def test_a_layer_is_the_same_however_many_there_are(make) -> None:
    assert (make(Sample(500, 32, 4, layers=1)).choices[0] == make(Sample(500, 32, 4, layers=3)).choices[0]).all()


@pytest.mark.parametrize("make", GENERATORS.values(), ids=GENERATORS)
def test_the_choices_are_the_experts_of_the_highest_scores_the_best_first(make) -> None:
    trace = make(Sample(3000, experts=64, k=4, scores=True))
    assert (trace.choices == np.argsort(-trace.scores, axis=2, kind="stable")[:, :, :4]).all()
    assert trace.scores.dtype == np.float32 and trace.scores.min() >= 0
    assert trace.scores.sum(axis=2) == pytest.approx(1, abs=1e-4)
    assert (trace.choices == make(Sample(3000, experts=64, k=4)).choices).all()


def test_equal_scores_choose_the_lower_ids() -> None:
    scores = np.array([[0, 1, 1, 1, 2, 1], [5, 5, 5, 5, 5, 5], [3, 1, 2, 0, 0, 0]], np.float32)
    assert top(scores, 3).tolist() == [[4, 1, 2], [0, 1, 2], [0, 2, 1]]
    assert top(scores, 6)[0].tolist() == [4, 1, 2, 3, 5, 0]


def test_the_draw_is_that_of_successive_draws_without_replacement() -> None:
    seed = 3
    weight = np.array([1, 1 / 2, 1 / 3]) * np.random.default_rng([seed, 0]).uniform(0.9, 1.1, 3)
    p = weight / weight.sum()
    # First, or second after another one.
    expected = [p[i] + sum(p[j] * p[i] / (1 - p[j]) for j in range(3) if j != i) for i in range(3)]
    trace = zipf(Sample(100_000, experts=3, k=2, seed=seed), exponent=1)
    assert np.bincount(trace.choices.ravel()) / 100_000 == pytest.approx(expected, abs=0.006)


def test_zipf_has_the_published_skew_no_drift_and_no_co_activation() -> None:
    trace = zipf(Sample(TOKENS))
    count = np.bincount(trace.choices.ravel(), minlength=256)
    assert count[0] / TOKENS == pytest.approx(0.845, abs=0.03)
    assert count.max() / count.mean() == pytest.approx(27, abs=1)
    assert _drift(trace) > 0.99
    assert top_lift(trace.batches(0, 1024)) == pytest.approx(0.88, abs=0.06)


def test_uniform_has_no_skew() -> None:
    count = np.bincount(uniform(Sample(TOKENS)).choices.ravel(), minlength=256)
    assert count.max() / count.mean() < 1.15 and count.min() / count.mean() > 0.85


@pytest.mark.parametrize("seed", range(3))
def test_clustered_has_co_activation_among_its_top_experts(seed: int) -> None:
    batches = clustered(Sample(TOKENS, seed=seed)).batches(0, 1024)
    assert top_lift(batches) > 1.2
    assert top_lift(batches, weighted=True) > 2.5


def test_clusters_without_a_boost_are_none() -> None:
    assert top_lift(clustered(Sample(TOKENS), boost=1).batches(0, 1024)) < 1


def test_drifting_ends_with_another_hot_set_by_small_steps() -> None:
    trace = drifting(Sample(TOKENS))
    load = trace.batches(0, 1024).load
    assert _drift(trace) < 0.3
    steps = [np.corrcoef(load[batch], load[batch + 1])[0, 1] for batch in range(len(load) - 1)]
    assert min(steps) > 0.8


def test_bursty_bursts_in_some_experts_and_some_batches_only() -> None:
    batches = bursty(Sample(TOKENS)).batches(0, 1024)
    swing = burstiness(batches)
    assert 10 <= (swing > 20).sum() <= 16 and np.median(swing) < 2
    most = batches.load[:, np.argmax(swing)]
    assert most.max() > 8 * np.median(most)
    assert burstiness(zipf(Sample(TOKENS)).batches(0, 1024)).max() < 4


@pytest.mark.parametrize(
    "sizes", [{"tokens": 0}, {"tokens": 9, "k": 9, "experts": 8}, {"tokens": 9, "layers": 0}, {"tokens": 9, "k": 0}]
)
def test_sizes_that_cannot_be_drawn_are_refused(sizes: dict) -> None:
    with pytest.raises(ValueError, match="expected 1 or more"):
        zipf(Sample(**sizes))


def test_parameters_that_have_no_meaning_are_refused() -> None:
    with pytest.raises(ValueError, match="a drift over 1 phases"):
        drifting(Sample(10), phases=1)
    with pytest.raises(ValueError, match="0 clusters"):
        clustered(Sample(10), clusters=0)
    with pytest.raises(ValueError, match="9 bursting experts of 8"):
        bursty(Sample(10, experts=8), bursting=9)
