"""The log load of every expert over time: what lasts, what moves in groups, and what moves alone.

For iteration t, layer l and expert e:

    log_load[t, l, e] = sigma_l * z[r(t), l, e] + v[l, e] * (sum_k w_k(t) * pi[k, l, e] + own[t, l, e])

    sigma_l = layer_sigma * exp(layer_sigma_spread * n_l), n_l the quantiles of N(0, 1) in random order
    z       lasting popularity of regime r. The expert's rank among the layer's experts by the normal variable
            sqrt(c_r) * x + sqrt(1 - c_r) * x_r, c_r of regime_common, chooses one of the quantiles n of N(0, 1). Both
            parts are correlated inside blocks of `neighbours` ids; a layer's correlation is exponential with mean
            neighbour_correlation, at most 0.9. popularity_skew a bends n to
            sign(a) * (exp(a n) - exp(a^2 / 2)) / (exp(a^2 / 2) * sqrt(exp(a^2) - 1)), of skewness near 3 a
    v       volatility: exp(s N(0, 1) - s^2), s = volatility_spread, so that v^2 has mean 1
    pi      N(0, 1 / topics): groups of experts, some of them against others
    w_k(t)  a topic's strength, the same in all layers: topic_strength * sqrt(2) * cos(2 pi (t / P_k + phase_k))
            * (1 + opening_strength * exp(-t / opening_decay)) + cohort_strength * x_k(t)
    x_k     requests that come and go: an Ornstein-Uhlenbeck process of variance 1 and memory cohort_memory
    P       topic_period * U(1 - topic_period_spread, 1 + topic_period_spread)
    phase_k U(-1, 1) * topic_phase_spread / 2: requests begin together, and part as their periods differ
    own     own_drift * sqrt(2) * cos(2 pi (t / P + phase)), P as above, phase U(0, 1), both the expert's

Quantiles are the middles of equally likely parts: layers and regimes differ in which experts are popular, not in how
popular the first of them happens to be. Topics' periods and phases are stratified, one of each in every k-th part of
its range. So a trace is typical of its parameters, although its maxima depend on few draws.
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import NormalDist

import numpy as np

from .profile import Parameters

MOST_CORRELATED = 0.9
# Below it the bent variable is the normal one, but for digits that the difference of 1 and near 1 has lost.
LEAST_SKEW = 1e-6


def log_loads(
    parameters: Parameters, iterations: int, layers: int, experts: int, seed: np.random.SeedSequence
) -> Iterator[np.ndarray]:
    """Log loads float64 [layer, expert], one for every `iterations_per_weight` iterations, forever the same array.

    The draws before an iteration do not depend on `iterations`.
    """
    p = parameters
    popular, moving, processes = (np.random.Generator(np.random.PCG64(child)) for child in seed.spawn(3))
    sigma = p.layer_sigma * np.exp(p.layer_sigma_spread * popular.permutation(_normal_quantiles(layers)))[:, None]
    correlation = np.minimum(p.neighbour_correlation * popular.standard_exponential((layers, 1)), MOST_CORRELATED)
    common = _neighbourly(p, correlation, experts, popular)
    lasting = []
    for part in p.regime_common:
        layer_part = _neighbourly(p, correlation, experts, popular)
        lasting.append(sigma * _popularity(p, np.sqrt(part) * common + np.sqrt(1 - part) * layer_part))
    volatility = np.exp(p.volatility_spread * moving.standard_normal((layers, experts)) - p.volatility_spread**2)
    periods, phases = _periods(p, _stratified(p.topics, moving)), p.topic_phase_spread * _stratified(p.topics, moving)
    groups = volatility * moving.standard_normal((p.topics, layers, experts)) / np.sqrt(p.topics)
    own_speed = 2 * np.pi / _periods(p, moving.random((layers, experts)))
    own_phase = 2 * np.pi * moving.random((layers, experts))
    own_strength = p.own_drift * np.sqrt(2) * volatility
    cohorts = processes.standard_normal(p.topics)
    memory = np.exp(-p.iterations_per_weight / p.cohort_memory)
    load = np.empty((layers, experts))
    for t in range(0, iterations, p.iterations_per_weight):
        load[:] = lasting[np.searchsorted(p.regimes, t, side="right") - 1]
        wave = np.sqrt(2) * np.cos(2 * np.pi * (t / periods + phases - p.topic_phase_spread / 2))
        opening = 1 + p.opening_strength * np.exp(-t / p.opening_decay)
        # A plain loop, not a matrix product: BLAS libraries differ in the order in which they add.
        for weight, group in zip(p.topic_strength * opening * wave + p.cohort_strength * cohorts, groups, strict=True):
            load += weight * group
        load += own_strength * np.cos(own_speed * t + own_phase)
        yield load
        cohorts = memory * cohorts + np.sqrt(1 - memory**2) * processes.standard_normal(p.topics)


def _neighbourly(p: Parameters, correlation: np.ndarray, experts: int, rng: np.random.Generator) -> np.ndarray:
    """N(0, 1) [layer, expert], correlated inside blocks of ids; correlation: [layer, 1]."""
    layers = len(correlation)
    block = np.arange(experts) // p.neighbours
    x = np.sqrt(1 - correlation) * rng.standard_normal((layers, experts))
    return x + np.sqrt(correlation) * rng.standard_normal((layers, block[-1] + 1))[:, block]


def _popularity(p: Parameters, x: np.ndarray) -> np.ndarray:
    """z [layer, expert]: the bent quantiles in the order of x."""
    ranks = x.argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
    z = _normal_quantiles(x.shape[1])[ranks]
    if abs(bend := p.popularity_skew) > LEAST_SKEW:
        z = (np.exp(bend * z - bend**2 / 2) - 1) / np.copysign(np.sqrt(np.expm1(bend**2)), bend)
    return z


def _periods(p: Parameters, uniform: np.ndarray) -> np.ndarray:
    return p.topic_period * (1 + p.topic_period_spread * (2 * uniform - 1))


def _stratified(count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` uniform numbers, one in each of as many equal parts of 0 .. 1, in random order."""
    return rng.permutation((np.arange(count) + rng.random(count)) / count)


def _normal_quantiles(count: int) -> np.ndarray:
    """The middles of `count` equally likely parts of N(0, 1), rising."""
    return np.array([NormalDist().inv_cdf((index + 0.5) / count) for index in range(count)])
