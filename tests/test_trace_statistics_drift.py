"""Drift, dispersion and what lasts: values by hand, and traces whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from traces.statistics.blocks import block_sums, half_sums, shares
from traces.statistics.dispersion import over_dispersion
from traces.statistics.drift import deviation_autocorrelation, total_variation
from traces.statistics.slow import SlowSpectrum, slow_spectrum

EXPERTS, LAYERS, ITERATIONS, COUNTS = 32, 3, 1024, 2000


def draw(log_loads: np.ndarray, seed: int = 0, dispersion: float = 0.0) -> np.ndarray:
    """Multinomial counts [iteration, layer, expert] of log loads that broadcast to that shape."""
    rng = np.random.default_rng(seed)
    loads = np.exp(np.broadcast_to(log_loads, (ITERATIONS, LAYERS, EXPERTS)))
    if dispersion:
        loads = loads * rng.gamma(1 / dispersion, dispersion, loads.shape)
    return rng.multinomial(COUNTS, loads / loads.sum(axis=-1, keepdims=True))


BASE = 0.5 * np.random.default_rng(1).standard_normal((LAYERS, EXPERTS))
STEADY = draw(BASE)
# One topic: all experts of all layers follow the same wave, with two periods in the trace.
WAVE = np.cos(4 * np.pi * np.arange(ITERATIONS) / ITERATIONS)[:, None, None]
PUSH = 0.2 * np.random.default_rng(2).standard_normal((LAYERS, EXPERTS))
TOPIC = draw(BASE + WAVE * PUSH)
RELABELLED = np.random.default_rng(3).permutation(EXPERTS)


def slow_of(hotness: np.ndarray) -> SlowSpectrum:
    """In blocks of 64 iterations."""
    return slow_spectrum(half_sums(hotness, 64))


# blocks


def test_blocks_add_up_and_leave_the_rest_out() -> None:
    hotness = np.arange(10, dtype=np.int32).reshape(5, 1, 2)
    assert block_sums(hotness, 2).tolist() == [[[2, 4]], [[10, 12]]]
    with pytest.raises(ValueError, match="no complete block of 6"):
        block_sums(hotness, 6)


def test_memory_order_does_not_matter() -> None:
    by_expert = np.ascontiguousarray(TOPIC.transpose(1, 2, 0)).transpose(2, 0, 1)
    assert np.array_equal(block_sums(by_expert, 64), block_sums(TOPIC, 64))
    assert over_dispersion(by_expert, 16) == pytest.approx(over_dispersion(TOPIC, 16))
    assert slow_of(by_expert).shares == pytest.approx(slow_of(TOPIC).shares)


def test_an_empty_row_has_shares_of_zero() -> None:
    assert shares(np.array([[1, 3], [0, 0]])).tolist() == [[0.25, 0.75], [0, 0]]


# total variation


def test_total_variation_by_hand() -> None:
    counts = np.array([[[3, 1]], [[1, 3]], [[3, 1]]])
    found = total_variation(counts, [1, 2])
    assert found.raw.tolist() == [[0.5], [0]] and found.largest.tolist() == [[0.5], [0]]
    noise = [np.sqrt(2 / np.pi * 0.25 * 0.5), np.sqrt(2 / np.pi * 0.1875 * 0.5)]
    assert found.noise[:, 0] == pytest.approx(noise)
    assert found.excess[:, 0] == pytest.approx([np.sqrt(0.25 - noise[0] ** 2), 0])


def test_independent_draws_leave_almost_nothing() -> None:
    found = total_variation(block_sums(STEADY, 16), [1, 4])
    assert found.raw == pytest.approx(found.noise, rel=0.05)
    assert (found.excess < found.raw / 3).all()


def test_a_known_drift_is_found_beneath_the_noise() -> None:
    apart = np.where(np.arange(ITERATIONS) < ITERATIONS // 2, 1, -1)[:, None, None]
    exact = np.exp(BASE + np.array([1, -1])[:, None, None] * PUSH)
    truth = np.abs(np.diff(shares(exact), axis=0)).sum(axis=-1)[0] / 2
    blocks = block_sums(draw(BASE + apart * PUSH), 4)
    found = total_variation(blocks, [len(blocks) // 2])
    assert found.excess[0] == pytest.approx(truth, rel=0.05)


def test_total_variation_does_not_depend_on_ids() -> None:
    counts = block_sums(TOPIC, 64)
    found, relabelled = total_variation(counts, [1, 2]), total_variation(counts[:, :, RELABELLED], [1, 2])
    for part, other in zip(found, relabelled, strict=True):
        assert part == pytest.approx(other)


@pytest.mark.parametrize("lag", [0, 3])
def test_a_lag_without_pairs_is_refused(lag: int) -> None:
    with pytest.raises(ValueError, match=f"lag {lag}"):
        total_variation(np.ones((3, 1, 2), np.int64), [lag])


# autocorrelation of deviations


def test_autocorrelation_by_hand() -> None:
    # Deviations +d, -d, +d, -d of two experts.
    hotness = np.array([[[3, 1]], [[1, 3]], [[3, 1]], [[1, 3]]])
    assert deviation_autocorrelation(hotness, [0, 1, 2])[:, 0] == pytest.approx([1, -1, 1])


def test_autocorrelation_is_none_for_draws_and_follows_the_wave() -> None:
    assert deviation_autocorrelation(STEADY, [1, 8, 64]) == pytest.approx(np.zeros((3, LAYERS)), abs=0.03)
    near, half, whole = deviation_autocorrelation(TOPIC, [1, ITERATIONS // 4, ITERATIONS // 2])
    assert (near > 0.2).all()
    assert half == pytest.approx(-near, abs=0.05) and whole == pytest.approx(near, abs=0.05)


def test_constant_counts_have_no_autocorrelation() -> None:
    assert np.isnan(deviation_autocorrelation(np.full((4, 1, 2), 3), [1])).all()


# dispersion


def test_dispersion_by_hand() -> None:
    # Expected counts are 2 everywhere: chi2 = 4 * 1 / 2, degrees of freedom 1.
    assert over_dispersion(np.array([[[3, 1]], [[1, 3]]]), 2).tolist() == [2]
    # The second block adds no chi2 and one degree of freedom; the last iteration is left out.
    longer = np.array([[[3, 1]], [[1, 3]], [[2, 2]], [[2, 2]], [[9, 0]]])
    assert over_dispersion(longer, 2).tolist() == [1]


def test_multinomial_counts_have_dispersion_one() -> None:
    assert over_dispersion(STEADY, 16) == pytest.approx(np.ones(LAYERS), abs=0.03)
    few = np.random.default_rng(6).multinomial(20, np.full(EXPERTS, 1 / EXPERTS), (ITERATIONS, 1))
    assert over_dispersion(few, 16) == pytest.approx([1], abs=0.03)


def test_gamma_factors_add_their_variance() -> None:
    found = over_dispersion(draw(np.zeros(1), dispersion=0.02), 16)
    assert found == pytest.approx(np.full(LAYERS, 1 + 0.02 * COUNTS / EXPERTS), rel=0.05)


def test_drift_counts_within_long_blocks_only() -> None:
    assert over_dispersion(TOPIC, 16) == pytest.approx(np.ones(LAYERS), abs=0.05)
    assert (over_dispersion(TOPIC, ITERATIONS) > 1.5).all()


def test_dispersion_does_not_depend_on_ids_or_unused_experts() -> None:
    found = over_dispersion(TOPIC, 32)
    assert over_dispersion(TOPIC[:, :, RELABELLED], 32) == pytest.approx(found)
    unused = np.concatenate([TOPIC, np.zeros_like(TOPIC)], axis=2)
    assert over_dispersion(unused, 32) == pytest.approx(found)


@pytest.mark.parametrize("block", [1, 5])
def test_a_block_without_comparison_is_refused(block: int) -> None:
    with pytest.raises(ValueError, match="block must lie in"):
        over_dispersion(np.ones((4, 1, 2), np.int64), block)


# what lasts


def test_slow_variance_by_hand() -> None:
    # Shares 3/4, 1/4 for one block and the reverse for the next: deviations of 1/4, mean shares of 1/2.
    hotness = np.array([[[3, 1]], [[3, 1]], [[1, 3]], [[1, 3]]])
    found = slow_spectrum(half_sums(hotness, 2), (1,))
    assert found.variance == pytest.approx([2 * (1 / 4) ** 2 / (1 / 2)])
    assert found.noise == pytest.approx([0]) and found.shares == pytest.approx([1])
    assert found.eigenvalues == pytest.approx([0.25, 0])
    assert found.autocorrelation == pytest.approx([1, -1])


def test_independent_draws_have_no_slow_part() -> None:
    found = slow_of(STEADY)
    blocks = ITERATIONS // 64
    assert abs(found.variance.sum()) < 4 * found.noise.sum() / np.sqrt(blocks * LAYERS * EXPERTS)
    # The halves of a block have 32 iterations, and the blocks' mean takes one of their number away.
    assert found.noise.sum() == pytest.approx(LAYERS * (EXPERTS - 1) / (32 * COUNTS) * (1 - 1 / blocks), rel=0.15)
    assert np.isnan(found.shares).all() and np.isnan(found.autocorrelation).all()


def test_over_dispersed_draws_have_no_slow_part_either() -> None:
    assert np.isnan(slow_of(draw(BASE, dispersion=0.1)).shares).all()


def test_one_topic_is_one_component() -> None:
    found = slow_of(TOPIC)
    assert found.shares[0] > 0.97
    # Shifted in time, its experts need a sine and a cosine.
    assert found.shifted_shares[0] < 0.8
    assert found.eigenvalues.sum() == pytest.approx(found.variance.sum())
    assert found.autocorrelation[[4, 8]] == pytest.approx([-1, 1], abs=0.05)


def test_the_slow_variance_is_that_of_log_load() -> None:
    # Shares hold the push less its load-weighted mean; the wave has variance 1 / 2.
    share = shares(np.exp(BASE))
    truth = (share * PUSH**2).sum(axis=1) - (share * PUSH).sum(axis=1) ** 2
    assert slow_of(TOPIC).variance == pytest.approx(truth / 2, rel=0.1)


def test_two_topics_are_two_components() -> None:
    other = np.sin(4 * np.pi * np.arange(ITERATIONS) / ITERATIONS)[:, None, None]
    push = 0.2 * np.random.default_rng(4).standard_normal((LAYERS, EXPERTS))
    found = slow_spectrum(half_sums(draw(BASE + WAVE * PUSH + other * push), 64), (1, 2))
    assert found.shares[0] < 0.8 and found.shares[1] > 0.97


def test_the_spectrum_does_not_depend_on_ids() -> None:
    found, relabelled = slow_of(TOPIC), slow_of(TOPIC[:, :, RELABELLED])
    assert relabelled.variance == pytest.approx(found.variance)
    assert relabelled.shares == pytest.approx(found.shares)
    assert relabelled.autocorrelation == pytest.approx(found.autocorrelation)


@pytest.mark.parametrize("block", [0, 3, 514])
def test_a_block_that_cannot_be_halved_or_compared_is_refused(block: int) -> None:
    with pytest.raises(ValueError, match="must be even and fit twice"):
        half_sums(STEADY, block)
