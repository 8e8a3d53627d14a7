"""The model of synthetic traces: what holds for every trace, and what each parameter does."""

from __future__ import annotations

import hashlib
import tracemalloc
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest

from traces.generation.counts import draw_counts
from traces.generation.generator import generate
from traces.generation.independent import MEMORIES, independent
from traces.generation.popularity import regime_shares
from traces.generation.profile import Parameters
from traces.generation.shares import spread_over_layers
from traces.generation.timing import draw_spread, drawn_timing, fitted_timing, regime_weights, topic_weights
from traces.statistics.blocks import half_sums
from traces.statistics.slow import slow_spectrum

# Nothing but the draws of counts: a test adds the one thing that it is about.
STILL = Parameters(
    layer_sigma=0.0,
    layer_sigma_spread=0.0,
    neighbour_correlation=0.0,
    topic_strength=0.0,
    own_drift=0.0,
    volatility_spread=0.0,
    tokens_per_iteration=1e6,
    token_spread=0.0,
    dispersion=0.0,
    top_k=2,
)
# Everything at once.
FULL = Parameters(
    layer_sigma=0.6,
    layer_sigma_spread=0.2,
    popularity_skew=0.1,
    neighbour_correlation=0.05,
    neighbours=4,
    regime_common=(0.5, 0.4, 0.1),
    regime_strength=(1.0, 1.1, 0.9),
    switches=(20, 48),
    switch_width=30.0,
    topic_period=60.0,
    topic_period_spread=0.25,
    topic_strength=0.1,
    second_harmonic=0.1,
    third_harmonic=0.15,
    switch_range=10.0,
    topics=3,
    topic_alignment=0.2,
    own_drift=0.1,
    own_memory=30.0,
    volatility_spread=0.4,
    tokens_per_iteration=1800.0,
    token_spread=0.05,
    dispersion=0.004,
    top_k=2,
)
# The generator's digits. New ones mean new sample traces, and new references on them.
PINNED_SHA256 = "e218d0a095a60f8d8b000cc0a259036a5d4919db53fe9ab5aa2dba13e3c3a75d"


def log_loads(trace: np.ndarray) -> np.ndarray:
    """Log counts less their mean over the layer's experts."""
    load = np.log(np.maximum(trace, 0.5))
    return load - load.mean(axis=2, keepdims=True)


def check_rows(trace: np.ndarray, top_k: int) -> np.ndarray:
    """Tokens of each iteration, after checking that the counts of every layer are what they can route."""
    sums = trace.sum(axis=2, dtype=np.int64)
    assert (sums == sums[:, :1]).all() and (sums % top_k == 0).all()
    tokens = sums[:, 0] // top_k
    assert trace.min() >= 0 and (trace <= tokens[:, None, None]).all()
    return tokens


def test_a_seed_fixes_the_bytes() -> None:
    first, again = (generate(FULL, 40, 3, 16, seed=5) for _ in range(2))
    assert first.dtype == np.int32 and first.shape == (40, 3, 16)
    assert first.tobytes() == again.tobytes()
    assert not np.array_equal(first, generate(FULL, 40, 3, 16, seed=6))


def test_the_global_random_state_plays_no_part() -> None:
    np.random.seed(1)
    first, state = generate(FULL, 4, 2, 16, seed=5), np.random.get_state()[1].copy()
    np.random.seed(2)
    assert np.array_equal(first, generate(FULL, 4, 2, 16, seed=5))
    np.random.seed(1)
    assert np.array_equal(state, np.random.get_state()[1])


@pytest.mark.parametrize("iterations", [1, 15, 16, 17, 50, 64])
@pytest.mark.parametrize("fitted", [False, True])
def test_a_longer_trace_begins_with_the_shorter_one(iterations: int, fitted: bool) -> None:
    longest = generate(FULL, 70, 2, 16, seed=3, fitted=fitted)
    assert np.array_equal(generate(FULL, iterations, 2, 16, seed=3, fitted=fitted), longest[:iterations])


@pytest.mark.parametrize("dispersion", [0.0, 0.004, 1.0, 1e3, 1e9])
def test_rows_add_up_to_what_the_tokens_route(dispersion: float) -> None:
    trace = generate(replace(FULL, dispersion=dispersion, top_k=8), 40, 4, 128, seed=1)
    tokens = check_rows(trace, top_k=8)
    assert 1700 < tokens.mean() < 1900 and len(set(tokens)) > 20


@pytest.mark.parametrize("experts", [8, 9, 12, 16, 64])
@pytest.mark.parametrize("layer_sigma", [2.0, 5.0, 30.0, 1e6])
def test_a_token_chooses_an_expert_at_most_once(experts: int, layer_sigma: float) -> None:
    trace = generate(replace(FULL, layer_sigma=layer_sigma, top_k=8), 20, 3, experts, seed=1)
    tokens = check_rows(trace, top_k=8)
    assert (trace == tokens[:, None, None]).any(), "the limit was never reached: the test shows nothing"


def test_with_as_many_experts_as_choices_every_token_goes_to_all_of_them() -> None:
    trace = generate(replace(FULL, layer_sigma=1.0, top_k=16), 20, 3, 16, seed=1)
    assert (trace == trace[:, :1, :1]).all() and (trace > 0).all()


def test_single_tokens_and_single_experts_are_traces_too() -> None:
    few = replace(FULL, tokens_per_iteration=1.0, token_spread=1.0)
    assert check_rows(generate(few, 40, 2, 5, seed=1), top_k=2).min() == 1
    alone = generate(replace(FULL, top_k=1), 20, 1, 1, seed=1)
    assert (alone > 0).all() and len(set(alone.ravel())) > 5


def test_tokens_are_log_normal_around_their_mean() -> None:
    trace = generate(replace(STILL, tokens_per_iteration=1e5, token_spread=0.2), 4000, 1, 2, seed=1)
    tokens = check_rows(trace, top_k=2)
    assert tokens.mean() == pytest.approx(1e5, rel=0.02)
    assert np.log(tokens).std() == pytest.approx(0.2, rel=0.05)


@pytest.mark.parametrize("dispersion", [0.0, 0.004, 0.05])
def test_counts_have_the_moments_of_a_negative_binomial(dispersion: float) -> None:
    parameters = replace(STILL, layer_sigma=0.5, tokens_per_iteration=500.0, top_k=8, dispersion=dispersion)
    trace = generate(parameters, 800, 4, 64, seed=2)
    mean, variance = trace.mean(axis=0), trace.var(axis=0, ddof=1)
    assert mean.std() > 10, "all experts are alike: the test shows nothing of how variance grows"
    assert (variance / (mean * (1 + dispersion * mean))).mean() == pytest.approx(1, abs=0.06)
    if dispersion == 0:
        small = mean < 4000 / 100
        assert (variance / mean)[small].mean() == pytest.approx(1, abs=0.03)


def test_counts_have_the_mean_of_their_share() -> None:
    trace = generate(replace(STILL, tokens_per_iteration=500.0, top_k=8, dispersion=0.02), 800, 4, 64, seed=2)
    standard_error = trace.std(axis=0) / np.sqrt(len(trace))
    assert (abs(trace.mean(axis=0) - 4000 / 64) < 5 * standard_error).all()


@pytest.mark.parametrize("experts", [64, 60])
def test_ids_in_a_block_are_correlated(experts: int) -> None:
    neighbours, layers = 8, 1000
    parameters = replace(STILL, layer_sigma=0.5, neighbour_correlation=0.3, neighbours=neighbours)
    load = log_loads(generate(parameters, 1, layers, experts, seed=1))[0] / 0.5
    pairs = load.T @ load / layers
    same_block = np.arange(experts)[:, None] // neighbours == np.arange(experts) // neighbours
    within = pairs[same_block & ~np.eye(experts, dtype=bool)].mean()
    # An exponential of mean 0.3, at most 0.9, has mean 0.3 * (1 - exp(-3)) = 0.285.
    assert within - pairs[~same_block].mean() == pytest.approx(0.285, abs=0.03)


def test_layers_differ_in_how_uneven_they_are() -> None:
    parameters = replace(STILL, layer_sigma=0.4, layer_sigma_spread=0.3)
    sigma = log_loads(generate(parameters, 1, 50, 2000, seed=1))[0].std(axis=1)
    assert np.median(sigma) == pytest.approx(0.4, rel=0.05)
    assert np.log(sigma).std() == pytest.approx(0.3, rel=0.06)


@pytest.mark.parametrize("bend", [-0.3, -0.1, 0.0, 0.1, 0.3])
def test_popularity_is_skewed_to_the_parameters_side(bend: float) -> None:
    parameters = replace(STILL, layer_sigma=0.4, popularity_skew=bend)
    load = log_loads(generate(parameters, 1, 50, 2000, seed=1))[0]
    lognormal = (np.exp(bend**2) + 2) * np.sqrt(np.expm1(bend**2))
    assert ((load / load.std()) ** 3).mean() == pytest.approx(np.copysign(lognormal, bend), abs=0.06)
    assert load.std() == pytest.approx(0.4, rel=0.03)


@pytest.mark.parametrize("bend", [1e-200, 1e-17, -1e-9])
def test_a_skew_too_small_to_see_is_none(bend: float) -> None:
    straight, bent = (generate(replace(FULL, popularity_skew=skew), 4, 2, 16, seed=1) for skew in (0.0, bend))
    assert np.array_equal(straight, bent)


def test_experts_differ_in_volatility() -> None:
    parameters = replace(STILL, own_drift=0.1, own_memory=20.0, volatility_spread=0.5, tokens_per_iteration=1e8)
    load = np.log(generate(parameters, 1600, 1, 500, seed=1))[::16, 0]
    moves = load.std(axis=0)
    assert np.sqrt((moves**2).mean()) == pytest.approx(0.1, rel=0.15)
    assert np.log(moves).std() == pytest.approx(0.5, rel=0.15)


def test_regimes_share_a_part_of_the_popularity() -> None:
    regimes = {"switches": (40, 104), "regime_common": (0.6, 0.5, 0.2), "regime_strength": (1.0, 1.2, 0.8)}
    parameters = replace(STILL, layer_sigma=0.5, switch_width=1.0, **regimes)
    load = log_loads(generate(parameters, 160, 8, 500, seed=1, fitted=True)).reshape(160, -1)
    first, second, third = load[:48].mean(axis=0), load[48:112].mean(axis=0), load[112:].mean(axis=0)
    for one, other, shared in ((first, second, 0.3), (second, third, 0.1), (first, third, 0.12)):
        assert np.corrcoef(one, other)[0, 1] == pytest.approx(np.sqrt(shared), abs=0.05)
    for part, strength in ((first, 1.0), (second, 1.2), (third, 0.8)):
        assert part.std() == pytest.approx(0.5 * strength, rel=0.05)
    for start, stop, expected in ((0, 48, first), (48, 112, second), (112, 160, third)):
        assert abs(load[start:stop] - expected).mean() < 0.02


def test_one_regime_gives_way_to_the_next_step_by_step() -> None:
    parameters = replace(STILL, switches=(96,), switch_width=96.0, regime_common=(0.0, 0.0), regime_strength=(1.0, 1.0))
    share = generate(replace(parameters, layer_sigma=0.5, tokens_per_iteration=1e8), 160, 1, 64, seed=1, fitted=True)
    share = share[::16, 0] / 2e8
    # From 96 - 48 to 96 + 48.
    for block, part in ((3, 0.0), (4, 1 / 6), (6, 0.5), (8, 5 / 6), (9, 1.0)):
        np.testing.assert_allclose(share[block], (1 - part) * share[0] + part * share[-1], rtol=0, atol=1e-4)


def test_regimes_have_all_of_the_load_between_them() -> None:
    timing = fitted_timing(FULL)._replace(switches=np.array([20.0, 25.0]))
    weights = np.array([regime_weights(FULL, timing, t) for t in range(60)])
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    assert weights[0].tolist() == [1, 0, 0] and weights[-1].tolist() == [0, 0, 1]


@pytest.mark.parametrize("seed", [1, 2])
def test_layers_differ_in_which_experts_are_popular_not_in_how_popular(seed: int) -> None:
    load = np.sort(log_loads(generate(replace(STILL, layer_sigma=0.5), 64, 6, 64, seed=seed)).mean(axis=0), axis=1)
    assert abs(load - load.mean(axis=0)).max() < 0.02
    assert load[0, -1] == pytest.approx(0.5 * NormalDist().inv_cdf(1 - 0.5 / 64), abs=0.02)


def test_of_the_orders_of_popularity_the_most_typical_set_is_taken() -> None:
    # Static PAR of contiguous devices scatters less over seeds than where an order is taken as it comes.
    rng = np.random.default_rng(1)
    parameters = replace(STILL, layer_sigma=0.8)

    def contiguous_par(shares: np.ndarray) -> float:
        return float(np.log(shares.reshape(4, 16, 4).sum(axis=2).max(axis=1).mean()))

    taken = [contiguous_par(regime_shares(parameters, 4, 64, np.random.default_rng(seed))[0]) for seed in range(60)]
    shuffled = regime_shares(parameters, 4, 64, np.random.default_rng(0))[0]
    any_order = [contiguous_par(rng.permuted(shuffled, axis=1)) for _ in range(60)]
    assert np.std(taken) < 0.7 * np.std(any_order)
    assert np.mean(taken) == pytest.approx(np.mean(any_order), abs=0.03)


def test_regimes_that_share_everything_change_nothing() -> None:
    def with_switches(*switches: int, common: float) -> np.ndarray:
        count = len(switches) + 1
        parts = {"regime_common": (common,) * count, "regime_strength": (1.0,) * count}
        return generate(replace(FULL, switches=switches, **parts), 48, 2, 16, seed=1, fitted=True)

    # The parts of alike regimes add up but for a last digit.
    assert (with_switches(16, common=1.0) != with_switches(common=1.0)).mean() < 0.01
    assert (with_switches(16, common=0.3) != with_switches(common=0.3)).mean() > 0.3


def test_topics_start_at_their_crest_turn_and_come_back() -> None:
    parameters = replace(STILL, topic_strength=0.1, topic_period=640.0, topic_period_spread=0.0)
    load = log_loads(generate(parameters, 656, 20, 64, seed=1, fitted=True))
    # At the crest the deviation has sqrt(2) of its standard deviation over time.
    assert load[0].std() == pytest.approx(0.1 * np.sqrt(2), rel=0.1)
    moment = (load.reshape(656, -1) @ load[0].ravel()) / (load[0] ** 2).sum()
    np.testing.assert_allclose(moment[[160, 320, 480, 640]], [0, -1, 0, 1], rtol=0, atol=0.03)
    assert (np.diff(moment[:320:16]) < 0).all() and (np.diff(moment[320:640:16]) > 0).all()


def test_every_topic_is_at_its_crest_at_the_start_whatever_its_period() -> None:
    spread = np.linspace(-1, 1, 5)
    for third, height in ((0.0, 1.0), (0.75, 1.4)):
        parameters = replace(FULL, second_harmonic=0.0, third_harmonic=third)
        weights = np.array([topic_weights(parameters, fitted_timing(parameters), spread, t) for t in range(60)])
        np.testing.assert_allclose(weights[0], 0.1 * np.sqrt(2) * height)
        assert (weights <= weights[0] + 1e-12).all()
        # Half a period of 60 * 1.25, 60 and 60 * 0.75 iterations is a trough.
        assert weights[30, 2] == pytest.approx(-weights[0, 2])
        assert weights[45, 0] == pytest.approx(weights[0, 0])


def test_a_second_harmonic_falls_quickly_at_first_and_a_third_slowly_in_the_middle() -> None:
    # By hand, at 0, 1/8 and 1/4 of a period: cos x - g sin 2x + h cos 3x, of root mean square 0.1.
    parameters = replace(FULL, second_harmonic=0.5, third_harmonic=0.5, topic_period=80.0)
    found = [topic_weights(parameters, fitted_timing(parameters), np.zeros(1), t)[0] for t in (0, 10, 20)]
    half = np.sqrt(0.5)
    expected = [1.5, half - 0.5 - 0.5 * half, 0.0]
    np.testing.assert_allclose(found, np.array(expected) * 0.1 * np.sqrt(2 / 1.5), atol=1e-12)
    weights = np.array([topic_weights(parameters, fitted_timing(parameters), np.zeros(1), t) for t in range(80)])
    assert np.sqrt((weights**2).mean()) == pytest.approx(0.1)


@pytest.mark.parametrize("alignment", [-0.8, 0.0, 0.8])
def test_aligned_topics_make_hot_experts_hottest_at_the_crest(alignment: float) -> None:
    parameters = replace(STILL, layer_sigma=0.5, topic_strength=0.05, topic_period=64.0, topic_alignment=alignment)
    load = log_loads(generate(replace(parameters, topic_period_spread=0.0), 48, 20, 64, seed=1, fitted=True))
    crest, trough = load[:16].mean(axis=0), load[32:].mean(axis=0)
    found = np.corrcoef((crest - trough).ravel(), (crest + trough).ravel())[0, 1]
    assert found == pytest.approx(alignment, abs=0.05)
    assert (crest - trough).std() == pytest.approx(2 * 0.05 * np.sqrt(2), rel=0.05)


def test_experts_of_a_rank_draw_one_in_each_equally_likely_part_over_the_layers() -> None:
    rng = np.random.default_rng(1)
    ranks = np.array([rng.permutation(32) for _ in range(10)])
    by_rank = np.take_along_axis(spread_over_layers(ranks, rng), ranks.argsort(axis=1), axis=1)
    between = [NormalDist().inv_cdf(number / 10) for number in range(1, 10)]
    assert (np.searchsorted(between, np.sort(by_rank, axis=0)) == np.arange(10)[:, None]).all()
    assert len({tuple(order) for order in by_rank.argsort(axis=0).T}) > 25


def test_a_phase_is_a_part_of_a_period() -> None:
    timing, spread = fitted_timing(FULL)._replace(phase=0.25), np.zeros(1)
    late = [topic_weights(FULL, timing, spread, t)[0] for t in range(60)]
    plain = [topic_weights(FULL, fitted_timing(FULL), spread, t + 15)[0] for t in range(60)]
    np.testing.assert_allclose(late, plain, rtol=0, atol=1e-12)


def test_periods_lie_one_in_each_part_of_their_range() -> None:
    orders = set()
    for seed in range(20):
        spread = draw_spread(replace(FULL, topics=4), np.random.default_rng(seed))
        assert np.sort((np.sort(spread) + 1) * 2 // 1).tolist() == [0, 1, 2, 3]
        orders.add(tuple(spread.argsort()))
    assert len(orders) > 5


def test_topics_part_as_their_periods_differ() -> None:
    parameters = replace(STILL, topics=30, topic_strength=0.1, topic_period=640.0)
    together, apart = (
        log_loads(generate(replace(parameters, topic_period_spread=spread), 2576, 2, 64, seed=1, fitted=True))
        for spread in (0.0, 0.25)
    )
    assert abs(together[2560] - together[0]).mean() < 0.02 < abs(apart[2560] - apart[0]).mean() / 2


def test_what_experts_do_alone_is_forgotten_with_its_memory() -> None:
    parameters = replace(STILL, own_drift=0.3, own_memory=64.0)
    load = log_loads(generate(parameters, 9600, 2, 64, seed=1))[::16].reshape(600, -1)
    products = [(load[: 600 - lag] * load[lag:]).mean() for lag in range(9)]
    assert np.sqrt(products[0]) == pytest.approx(0.3, rel=0.1)
    for lag in (1, 2, 4, 8):
        assert products[lag] / products[0] == pytest.approx(np.exp(-16 * lag / 64), abs=0.05)


def test_an_independent_trace_drifts_as_much_as_its_profile_with_long_and_short_memories() -> None:
    profile = replace(STILL, topic_strength=0.24, own_drift=0.1, topic_period=400.0, volatility_spread=0.3)
    assert independent(profile).own_drift == pytest.approx(0.26)
    drawn = [log_loads(generate(p, 16000, 2, 64, seed=1))[::16] for p in (profile, independent(profile))]
    shared, alone = (load.reshape(1000, -1) for load in drawn)
    # Of the log loads around the lasting popularity, which is even here.
    assert (alone**2).mean() == pytest.approx((shared**2).mean(), rel=0.1)
    variance = (alone**2).mean()
    for lag in (4, 25, 94):
        expected = np.mean([np.exp(-16 * lag / memory) for memory in MEMORIES])
        assert (alone[:-lag] * alone[lag:]).mean() / variance == pytest.approx(expected, abs=0.06)


def test_experts_of_an_independent_trace_have_no_common_component() -> None:
    profile = replace(STILL, topic_strength=0.2, own_drift=0.05, topic_period=400.0, topics=2, dispersion=0.001)
    spectra = [
        slow_spectrum(half_sums(generate(p, 4096, 3, 64, seed=1), 16), [2]) for p in (profile, independent(profile))
    ]
    assert spectra[0].shares[0] > 0.9 and spectra[1].shares[0] < 0.3
    load = log_loads(generate(independent(profile), 32000, 1, 32, seed=1))[::16, 0]
    pairs = np.corrcoef(load, rowvar=False)[~np.eye(32, dtype=bool)]
    # Less than nothing by what the layer's mean takes from each: -1 / (experts - 1).
    assert pairs.mean() == pytest.approx(-1 / 31, abs=0.01) and np.sqrt((pairs**2).mean()) < 0.3


def test_an_independent_trace_has_its_profiles_popularity_tokens_and_switches() -> None:
    still = replace(FULL, topic_strength=0.0, own_drift=0.0)
    assert np.array_equal(generate(independent(still), 64, 2, 16, seed=1), generate(still, 64, 2, 16, seed=1))
    assert np.array_equal(
        generate(independent(FULL), 64, 2, 16, seed=1).sum(axis=2), generate(FULL, 64, 2, 16, seed=1).sum(axis=2)
    )


def test_a_longer_independent_trace_begins_with_the_shorter_one() -> None:
    longest = generate(independent(FULL), 70, 2, 16, seed=3)
    assert np.array_equal(generate(independent(FULL), 33, 2, 16, seed=3), longest[:33])


def test_what_is_slow_lies_in_as_many_components_as_there_are_topics() -> None:
    waves = replace(STILL, topic_period=200.0, topic_period_spread=0.5, volatility_spread=0.4, dispersion=0.001)
    for topics in (1, 4):
        trace = generate(replace(waves, topics=topics, topic_strength=0.1), 512, 3, 64, seed=1)
        assert slow_spectrum(half_sums(trace, 16), [topics]).shares[0] > 0.95
    alone = slow_spectrum(half_sums(generate(replace(waves, own_drift=0.1), 512, 3, 64, seed=1), 16), [1])
    assert alone.shares[0] < 0.65


def test_a_seed_moves_period_phase_and_switches_within_their_ranges() -> None:
    parameters = replace(FULL, period_range=0.1, phase_range=0.02, switch_range=40.0)
    drawn = [drawn_timing(parameters, np.random.default_rng(seed)) for seed in range(200)]
    periods, phases = np.array([timing.period for timing in drawn]), np.array([timing.phase for timing in drawn])
    assert 54 <= periods.min() < 55 and 65 < periods.max() <= 66
    assert -0.02 <= phases.min() < -0.019 and 0.019 < phases.max() <= 0.02
    switches = np.array([timing.switches for timing in drawn])
    assert (np.diff(switches) > 0).all()
    assert switches.min() >= -20 and switches.max() <= 88 and (switches.std(axis=0) > 10).all()


def test_fitted_traces_of_two_seeds_have_the_same_timing_and_drawn_ones_have_not() -> None:
    # One topic without spread: how far the first iteration's deviation is kept says where the wave is.
    parameters = replace(STILL, topics=1, topic_strength=0.2, topic_period=640.0, topic_period_spread=0.0)

    def kept(seed: int, fitted: bool) -> float:
        load = log_loads(generate(parameters, 1296, 4, 64, seed, fitted))
        return (load[1280] * load[0]).sum() / (load[0] ** 2).sum()

    assert [kept(seed, fitted=True) for seed in (1, 2, 3)] == pytest.approx([1, 1, 1], abs=0.01)
    drawn = [kept(seed, fitted=False) for seed in (1, 2, 3)]
    assert max(drawn) - min(drawn) > 0.1


def test_without_ranges_a_drawn_trace_is_the_fitted_one() -> None:
    parameters = replace(FULL, period_range=0.0, phase_range=0.0, switch_range=0.0)
    drawn, fitted = (generate(parameters, 64, 2, 16, seed=1, fitted=fitted) for fitted in (False, True))
    assert np.array_equal(drawn, fitted)
    assert not np.array_equal(generate(FULL, 64, 2, 16, seed=1), generate(FULL, 64, 2, 16, seed=1, fitted=True))


def test_beside_the_trace_only_a_block_is_held() -> None:
    generate(FULL, 16, 2, 16, seed=1)
    tracemalloc.start()
    try:
        trace = generate(FULL, 3840, 15, 128, seed=1)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert trace.nbytes > 29e6 and peak < 1.2 * trace.nbytes


@pytest.mark.parametrize("direction", [-np.inf, np.inf])
def test_a_load_that_differs_in_its_last_digit_gives_the_same_counts(direction: float) -> None:
    share, tokens = np.random.default_rng(1).dirichlet(np.full(128, 3.0), 20), np.full(16, 1800)
    first, second = (
        draw_counts(FULL, one, tokens, np.random.default_rng(2)) for one in (share, np.nextafter(share, direction))
    )
    assert np.count_nonzero(first != second) < 1e-3 * first.size


def test_pinned_trace() -> None:
    trace = generate(FULL, 64, 2, 16, seed=1)
    assert hashlib.sha256(trace.astype("<i4").tobytes()).hexdigest() == PINNED_SHA256, (
        "the generator no longer draws what it drew: either its model changed (then the sample traces, their "
        "hashes and the reference results on them have to be made anew), or this numpy changed its random "
        "streams (then the samples stay as they are, and only an older numpy regenerates them)"
    )


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((0, 2, 16), "a trace needs at least one of each, got shape [0, 2, 16]"),
        ((4, 0, 16), "a trace needs at least one of each, got shape [4, 0, 16]"),
        ((4, 2, 0), "a trace needs at least one of each, got shape [4, 2, 0]"),
        ((4, 2, 1), "a token cannot choose 2 different experts of 1"),
    ],
)
def test_impossible_shapes_are_refused(shape: tuple[int, int, int], message: str) -> None:
    with pytest.raises(ValueError, match="a t") as refused:
        generate(FULL, *shape, seed=1)
    assert str(refused.value) == message


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^seed must not be negative, got -1$"):
        generate(FULL, 4, 2, 16, seed=-1)


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning", "ignore:invalid value:RuntimeWarning")
def test_parameters_beyond_what_numbers_hold_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^an iteration of .* tokens exceeds 2147483647, the largest"):
        generate(replace(FULL, tokens_per_iteration=1e9, token_spread=1.0), 40, 2, 16, seed=1)
    with pytest.raises(ValueError, match=r"^these parameters give loads that are not finite$"):
        generate(replace(FULL, layer_sigma_spread=1000.0), 4, 4, 16, seed=1)
