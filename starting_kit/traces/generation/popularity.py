"""What lasts: how popular each expert is in each regime.

    share[r, l, e] = softmax over the experts of regime_strength_r * sigma_l * z[r, l, e]

    sigma_l = layer_sigma * exp(layer_sigma_spread * n_l), n_l the quantiles of N(0, 1) in random order
    z       quantiles n of N(0, 1), in the order of sqrt(c_r) * x + sqrt(1 - c_r) * x_r, c_r of regime_common. x and x_r
            are N(0, 1), correlated inside blocks of `neighbours` ids; a layer's correlation is one of the quantiles of
            the exponential distribution of mean neighbour_correlation, at most 0.9. popularity_skew b bends n to
            sign(b) * (exp(b n - b^2 / 2) - 1) / sqrt(exp(b^2) - 1), of skewness near 3 b

Quantiles are the middles of equally likely parts: layers and regimes differ in which experts are popular, not in how
popular the first of them happens to be. Of CANDIDATES sets of orders the most typical one is taken: contiguous devices
of 2, 4 and 8 experts are as uneven as in the mean of all sets. So a trace is typical of its parameters, although its
maxima depend on few draws.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from .profile import Parameters

MOST_CORRELATED = 0.9
CANDIDATES = 12
CONTIGUOUS = (2, 4, 8)
# Below it the bent variable is the normal one, but for digits that the difference of 1 and near 1 has lost.
LEAST_SKEW = 1e-6


def regime_shares(p: Parameters, layers: int, experts: int, rng: np.random.Generator) -> np.ndarray:
    """Each expert's part of its layer's load: float64 [regime, layer, expert]; every row adds up to 1."""
    sigma = p.layer_sigma * np.exp(p.layer_sigma_spread * rng.permutation(normal_quantiles(layers)))[:, None]
    exponential = -np.log1p(-(rng.permutation(layers)[:, None] + 0.5) / layers)
    correlation = np.minimum(p.neighbour_correlation * exponential, MOST_CORRELATED)
    quantiles = _bent(normal_quantiles(experts), p.popularity_skew)
    # A seed for each: the next set does not depend on how many regimes this one has.
    seeds = rng.integers(2**63, size=CANDIDATES)
    candidates = [
        _shares(p, sigma * quantiles, correlation, np.random.Generator(np.random.PCG64(one))) for one in seeds.tolist()
    ]
    uneven = np.log([_unevenness(shares) for shares in candidates])
    return candidates[int(((uneven - uneven.mean(axis=0)) ** 2).sum(axis=1).argmin())]


def normal_quantiles(count: int) -> np.ndarray:
    """The middles of `count` equally likely parts of N(0, 1), rising."""
    return normal((np.arange(count) + 0.5) / count)


def normal(probability: np.ndarray) -> np.ndarray:
    """The values of N(0, 1) with these probabilities of a lesser one, of the same shape."""
    # Zero and one, which a random number may round to, have no value.
    inside = np.clip(probability, 2.0**-53, 1 - 2.0**-53).ravel()
    return np.array([NormalDist().inv_cdf(each) for each in inside.tolist()]).reshape(probability.shape)


def _shares(p: Parameters, log_loads: np.ndarray, correlation: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One set of orders, as regime_shares gives it; log_loads: rising in every layer, [layer, expert]."""
    experts = log_loads.shape[1]
    common = _neighbourly(p, correlation, experts, rng)
    shares = []
    for part, strength in zip(p.regime_common, p.regime_strength, strict=True):
        x = np.sqrt(part) * common + np.sqrt(1 - part) * _neighbourly(p, correlation, experts, rng)
        ranks = x.argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
        log_load = strength * np.take_along_axis(log_loads, ranks, axis=1)
        load = np.exp(log_load - log_load.max(axis=1, keepdims=True))
        shares.append(load / load.sum(axis=1, keepdims=True))
    return np.array(shares)


def _unevenness(shares: np.ndarray) -> list[float]:
    """The largest part that a contiguous device has, mean over regimes and layers, for each of CONTIGUOUS."""
    starts = (np.arange(0, shares.shape[2], size) for size in CONTIGUOUS)
    return [float(np.add.reduceat(shares, start, axis=2).max(axis=2).mean()) for start in starts]


def _bent(normal: np.ndarray, skew: float) -> np.ndarray:
    if abs(skew) <= LEAST_SKEW:
        return normal
    return (np.exp(skew * normal - skew**2 / 2) - 1) / np.copysign(np.sqrt(np.expm1(skew**2)), skew)


def _neighbourly(p: Parameters, correlation: np.ndarray, experts: int, rng: np.random.Generator) -> np.ndarray:
    """N(0, 1) [layer, expert], correlated inside blocks of ids; correlation: [layer, 1]."""
    layers = len(correlation)
    block = np.arange(experts) // p.neighbours
    x = np.sqrt(1 - correlation) * rng.standard_normal((layers, experts))
    return x + np.sqrt(correlation) * rng.standard_normal((layers, block[-1] + 1))[:, block]
