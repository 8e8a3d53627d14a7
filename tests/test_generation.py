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
from traces.generation.profile import Parameters
from traces.statistics.slow import slow_spectrum

# Nothing but the draws of counts: a test adds the one thing that it is about.
STILL = Parameters(
    layer_sigma=0.0,
    layer_sigma_spread=0.0,
    popularity_skew=0.0,
    neighbour_correlation=0.0,
    topic_strength=0.0,
    opening_strength=0.0,
    cohort_strength=0.0,
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
    topics=3,
    topic_strength=0.1,
    topic_period=60.0,
    topic_period_spread=0.25,
    topic_phase_spread=0.5,
    opening_strength=1.0,
    opening_decay=50.0,
    cohort_strength=0.05,
    cohort_memory=30.0,
    own_drift=0.05,
    volatility_spread=0.4,
    regimes=(0, 20, 48),
    regime_common=(0.5, 0.4, 0.1),
    tokens_per_iteration=1800.0,
    token_spread=0.05,
    dispersion=0.004,
    top_k=2,
    iterations_per_weight=16,
)
# The generator's digits. New ones mean new sample traces, and new references on them.
PINNED_SHA256 = "411bfc7900207271743bfca9ecd1536c4887ca0771dd1b406b894b70e5e990fe"


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
@pytest.mark.parametrize("iterations_per_weight", [1, 16, 100])
def test_a_longer_trace_begins_with_the_shorter_one(iterations: int, iterations_per_weight: int) -> None:
    parameters = replace(FULL, iterations_per_weight=iterations_per_weight)
    longest = generate(parameters, 70, 2, 16, seed=3)
    assert np.array_equal(generate(parameters, iterations, 2, 16, seed=3), longest[:iterations])


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
    parameters = replace(STILL, own_drift=0.1, volatility_spread=0.5, topic_period=64.0, topic_period_spread=0.0)
    parameters = replace(parameters, tokens_per_iteration=1e8, iterations_per_weight=4)
    load = np.log(generate(parameters, 128, 1, 2000, seed=1))[::4, 0]
    moves = load.std(axis=0)
    assert np.sqrt((moves**2).mean()) == pytest.approx(0.1, rel=0.15)
    assert np.log(moves).std() == pytest.approx(0.5, rel=0.15)


def test_regimes_share_a_part_of_the_popularity() -> None:
    parameters = replace(STILL, layer_sigma=0.5, regimes=(0, 32, 70), regime_common=(0.6, 0.5, 0.2))
    load = log_loads(generate(parameters, 96, 8, 500, seed=1)).reshape(96, -1)
    first, second, third = load[:32].mean(axis=0), load[32:80].mean(axis=0), load[80:].mean(axis=0)
    for one, other, shared in ((first, second, 0.3), (second, third, 0.1), (first, third, 0.12)):
        assert (one * other).mean() / 0.5**2 == pytest.approx(np.sqrt(shared), abs=0.05)
    for part in (first, second, third):
        assert part.std() == pytest.approx(0.5, rel=0.05)
    # The third begins inside a block of 16 iterations, so with the next block.
    for start, stop, expected in ((0, 32, first), (32, 80, second), (80, 96, third)):
        assert abs(load[start:stop] - expected).mean() < 0.02


@pytest.mark.parametrize("seed", [1, 2])
def test_layers_differ_in_which_experts_are_popular_not_in_how_popular(seed: int) -> None:
    load = np.sort(log_loads(generate(replace(STILL, layer_sigma=0.5), 64, 6, 64, seed=seed)).mean(axis=0), axis=1)
    assert abs(load - load.mean(axis=0)).max() < 0.02
    assert load[0, -1] == pytest.approx(0.5 * NormalDist().inv_cdf(1 - 0.5 / 64), abs=0.02)


def test_regimes_that_share_everything_or_come_too_late_change_nothing() -> None:
    def with_regimes(*regimes: int, common: float) -> np.ndarray:
        parts = (common,) * len(regimes)
        return generate(replace(FULL, regimes=regimes, regime_common=parts), 48, 2, 16, seed=1)

    assert np.array_equal(with_regimes(0, 16, common=1.0), with_regimes(0, common=1.0))
    assert np.array_equal(with_regimes(0, 48, 10**9, common=0.3), with_regimes(0, common=0.3))
    assert not np.array_equal(with_regimes(0, 16, common=0.3), with_regimes(0, common=0.3))


def test_deviations_are_stronger_in_the_beginning() -> None:
    plain = replace(STILL, topic_strength=0.1, topic_period=100.0, iterations_per_weight=4)
    opening = replace(plain, opening_strength=3.0, opening_decay=50.0)
    usual, stronger = (log_loads(generate(one, 400, 2, 64, seed=1))[::4].reshape(100, -1) for one in (plain, opening))
    times = np.arange(0, 400, 4)
    factor = (usual * stronger).sum(axis=1) / (usual**2).sum(axis=1)
    clear = usual.std(axis=1) > 0.05
    assert clear[times < 100].sum() > 10
    np.testing.assert_allclose(factor[clear], 1 + 3 * np.exp(-times[clear] / 50), rtol=0.06)


def test_topics_begin_together_turn_and_come_back() -> None:
    parameters = replace(STILL, topic_strength=0.1, topic_period=64.0, topic_period_spread=0.0, topic_phase_spread=0.0)
    load = log_loads(generate(replace(parameters, iterations_per_weight=4), 128, 2, 64, seed=1))
    start = load[0]
    assert start.std() > 0.08
    assert abs(load[64] - start).mean() < 0.02 and abs(load[32] + start).mean() < 0.02


def test_topics_part_as_their_periods_and_phases_differ() -> None:
    parameters = replace(STILL, topic_strength=0.1, topic_period=64.0, iterations_per_weight=4)
    together, apart = (
        log_loads(generate(replace(parameters, topics=30, **spread), 260, 2, 64, seed=1))
        for spread in (
            {"topic_period_spread": 0.0, "topic_phase_spread": 0.0},
            {"topic_period_spread": 0.25, "topic_phase_spread": 1.0},
        )
    )
    assert abs(together[256] - together[0]).mean() < 0.02 < abs(apart[256] - apart[0]).mean() / 2


def test_topics_are_strongest_where_they_begin() -> None:
    parameters = replace(STILL, topics=100, topic_strength=0.1, topic_period=64.0, topic_period_spread=0.0)
    load = log_loads(generate(replace(parameters, topic_phase_spread=0.25), 20, 20, 100, seed=1))
    # Phases lie in -1/8 .. 1/8 of a period, where twice the squared cosine has mean 1 + 2 / pi, a quarter period
    # later 1 - 2 / pi.
    assert (load[0] / 0.1).var() == pytest.approx(1 + 2 / np.pi, rel=0.15)
    assert (load[16] / 0.1).var() == pytest.approx(1 - 2 / np.pi, rel=0.3)


def test_experts_own_waves_come_back_too() -> None:
    parameters = replace(STILL, own_drift=0.1, topic_period=64.0, topic_period_spread=0.0, iterations_per_weight=4)
    load = log_loads(generate(parameters, 128, 2, 64, seed=1))
    assert load[0].std() == pytest.approx(0.1, rel=0.25)
    assert abs(load[64] - load[0]).mean() < 0.02 and abs(load[32] + load[0]).mean() < 0.02


def test_cohorts_are_forgotten_with_their_memory() -> None:
    parameters = replace(STILL, topics=100, cohort_strength=0.3, cohort_memory=32.0, iterations_per_weight=4)
    load = log_loads(generate(parameters, 600, 2, 64, seed=1))[::4].reshape(150, -1)
    products = [(load[: 150 - lag] * load[lag:]).mean() for lag in range(17)]
    assert np.sqrt(products[0]) == pytest.approx(0.3, rel=0.1)
    for lag in (4, 8, 16):
        assert products[lag] / products[0] == pytest.approx(np.exp(-4 * lag / 32), abs=0.1)


def test_what_is_slow_lies_in_as_many_components_as_there_are_topics() -> None:
    waves = replace(STILL, topic_period=200.0, topic_phase_spread=1.0, volatility_spread=0.4, dispersion=0.001)
    for topics in (1, 4):
        trace = generate(replace(waves, topics=topics, topic_strength=0.1), 512, 3, 64, seed=1)
        assert slow_spectrum(trace, 16, [topics]).shares[0] > 0.95
    alone = slow_spectrum(generate(replace(waves, own_drift=0.1), 512, 3, 64, seed=1), 16, [1])
    assert alone.shares[0] < 0.65
    assert np.sqrt(alone.variance.mean()) == pytest.approx(0.1, rel=0.15)


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
    load, tokens = np.random.default_rng(1).normal(0, 0.6, (20, 128)), np.full(16, 1800)
    first, second = (
        draw_counts(FULL, one, tokens, np.random.default_rng(2)) for one in (load, np.nextafter(load, direction))
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
        generate(replace(FULL, tokens_per_iteration=2.0**31 - 1), 40, 2, 16, seed=1)
    with pytest.raises(ValueError, match=r"^these parameters give log loads that are not finite$"):
        generate(replace(FULL, layer_sigma_spread=1000.0), 4, 4, 16, seed=1)
