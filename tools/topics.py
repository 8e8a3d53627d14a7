"""Synthetic expert hotness: the shared-topics model.

Every expert of a layer has a lasting popularity. A few topics, whose strength swings slowly and is the same
in all layers at a given time, push groups of experts up and down together; each expert adds a small swing of
its own. For iteration t, layer l and expert e:

    log_load[t, l, e] = sigma_l * z[l, e] + sum_k w_k(t) * pi[k, l, e] + own[t, l, e]

    sigma_l = layer_sigma * exp(layer_sigma_spread * N(0, 1))
    z       = N(0, 1), correlation block_correlation inside blocks of block_size neighbouring ids
    w_k(t)  = topic_strength * cos(2 pi t / P_k + phase_k)
    pi      = N(0, 2 / topics), so that the topics add topic_strength to the standard deviation
    own     = own_drift * sqrt(2) * cos(2 pi t / P + phase), P and phase of the expert alone
    P       = topic_period * U(1 - topic_period_spread, 1 + topic_period_spread); phases are uniform

    share   = softmax over the layer's experts, held for iterations_per_weight iterations
    G       = Gamma(mean 1, variance dispersion), drawn anew for every (t, l, e)
    tokens  = tokens_per_iteration * exp(token_spread * N(0, 1) - token_spread**2 / 2), rounded
    counts  = Multinomial(top_k * tokens[t], share * G / sum(share * G))

The counts are gamma-Poisson counts conditioned on their sum, so a layer's row adds up exactly to what its
tokens route. A token chooses an expert at most once: what a draw gives to an expert beyond tokens[t] is drawn
again over the experts that have room.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Profile:
    """Parameters of the model; the defaults are those of the sample traces.

    Standard deviations and strengths are in units of log-load, periods in iterations. `token_spread` is the
    standard deviation of the logarithm of an iteration's tokens. Raises ValueError for values that the model
    has no meaning for.
    """

    layer_sigma: float = 0.60
    layer_sigma_spread: float = 0.11
    block_correlation: float = 0.03
    block_size: int = 8
    topics: int = 6
    topic_strength: float = 0.12
    topic_period: float = 1750.0
    topic_period_spread: float = 0.25
    own_drift: float = 0.06
    tokens_per_iteration: float = 1500.0
    token_spread: float = 0.05
    dispersion: float = 0.01
    top_k: int = 8
    iterations_per_weight: int = 16

    def __post_init__(self) -> None:
        for name in ("block_size", "topics", "top_k", "iterations_per_weight"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in (
            "layer_sigma",
            "layer_sigma_spread",
            "topic_strength",
            "own_drift",
            "token_spread",
            "dispersion",
        ):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        if not 0 <= self.block_correlation <= 1:
            raise ValueError(f"block_correlation must lie in 0 .. 1, got {self.block_correlation}")
        if not 0 <= self.topic_period_spread < 1:
            raise ValueError(f"topic_period_spread must be in 0 .. 1, 1 excluded: {self.topic_period_spread}")
        if self.topic_period <= 0:
            raise ValueError(f"topic_period must be positive, got {self.topic_period}")
        if self.tokens_per_iteration < 1:
            raise ValueError(f"tokens_per_iteration must be at least 1, got {self.tokens_per_iteration}")


def generate(profile: Profile, iterations: int, layers: int, experts: int, seed: int) -> np.ndarray:
    """Generate a trace: tokens routed to each expert.

    Returns int32 [iterations, layers, experts]. Row (t, l) sums to top_k * tokens[t] for every l, and no
    value exceeds tokens[t]. The same arguments give the same trace, and a longer trace begins with the
    shorter one of the same seed. Works on `iterations_per_weight` iterations at a time.
    Raises ValueError for an empty shape, for fewer experts than top_k and for a negative seed.
    """
    if min(iterations, layers, experts) < 1:
        raise ValueError(f"a trace needs at least one of each, got shape [{iterations}, {layers}, {experts}]")
    if experts < profile.top_k:
        raise ValueError(f"a token cannot choose {profile.top_k} different experts of {experts}")
    if seed < 0:
        raise ValueError(f"seed must not be negative, got {seed}")

    # A stream for each purpose: the length of the trace then changes none of the draws before its end.
    streams = [np.random.Generator(np.random.PCG64(s)) for s in np.random.SeedSequence(seed).spawn(5)]
    log_load_at = _log_loads(profile, layers, experts, streams[0])
    tokens = _tokens(profile, iterations, streams[1])
    trace = np.empty((iterations, layers, experts), dtype=np.int32)
    for first in range(0, iterations, profile.iterations_per_weight):
        block = slice(first, min(first + profile.iterations_per_weight, iterations))
        shares = _perturbed(_softmax(log_load_at(first)), len(tokens[block]), profile.dispersion, streams[2])
        counts = streams[3].multinomial(profile.top_k * tokens[block, None], shares)
        _limit(counts, shares, tokens[block], streams[4])
        trace[block] = counts
    return trace


def _log_loads(profile: Profile, layers: int, experts: int, rng: np.random.Generator) -> Callable[[int], np.ndarray]:
    """Draw what lasts for a whole trace; return the function iteration -> log-load [layers, experts]."""
    sigma = profile.layer_sigma * np.exp(profile.layer_sigma_spread * rng.standard_normal((layers, 1)))
    block_of = np.arange(experts) // profile.block_size
    z = np.sqrt(1 - profile.block_correlation) * rng.standard_normal((layers, experts))
    z += np.sqrt(profile.block_correlation) * rng.standard_normal((layers, block_of[-1] + 1))[:, block_of]
    base = sigma * z

    def waves(*shape: int) -> tuple[np.ndarray, np.ndarray]:
        spread = profile.topic_period_spread
        period = profile.topic_period * rng.uniform(1 - spread, 1 + spread, shape)
        return 2 * np.pi / period, rng.uniform(0, 2 * np.pi, shape)

    topic_speed, topic_phase = waves(profile.topics)
    pi = np.sqrt(2 / profile.topics) * rng.standard_normal((profile.topics, layers, experts))
    own_speed, own_phase = waves(layers, experts)

    def log_load_at(iteration: int) -> np.ndarray:
        load = base + profile.own_drift * np.sqrt(2) * np.cos(own_speed * iteration + own_phase)
        # A plain loop, not a matrix product: BLAS libraries differ in the order in which they add.
        for weight, push in zip(np.cos(topic_speed * iteration + topic_phase), pi, strict=True):
            load += profile.topic_strength * weight * push
        return load

    return log_load_at


def _tokens(profile: Profile, iterations: int, rng: np.random.Generator) -> np.ndarray:
    """Draw the tokens of each iteration: int64 [iterations], log-normal around the mean, at least one."""
    spread = profile.token_spread
    factor = np.exp(spread * rng.standard_normal(iterations) - spread**2 / 2)
    return np.maximum(np.rint(profile.tokens_per_iteration * factor), 1).astype(np.int64)


def _softmax(log_load: np.ndarray) -> np.ndarray:
    load = np.exp(log_load - log_load.max(axis=-1, keepdims=True))
    return load / load.sum(axis=-1, keepdims=True)


def _perturbed(shares: np.ndarray, rows: int, dispersion: float, rng: np.random.Generator) -> np.ndarray:
    """Shares [rows, layers, experts]: those given, times gamma factors, scaled to add up to one again."""
    if dispersion == 0:
        return np.broadcast_to(shares, (rows, *shares.shape))
    # The factor's mean cancels in the division, so the gamma variable needs no scale.
    perturbed = rng.standard_gamma(1 / dispersion, (rows, *shares.shape))
    perturbed *= shares
    perturbed /= perturbed.sum(axis=-1, keepdims=True)
    return perturbed


def _limit(counts: np.ndarray, shares: np.ndarray, tokens: np.ndarray, rng: np.random.Generator) -> None:
    """Bring counts [rows, layers, experts] down to tokens [rows] in place, keeping the sum of every row."""
    for row, layer in np.argwhere((counts > tokens[:, None, None]).any(axis=-1)):
        values, limit = counts[row, layer], tokens[row]
        while (excess := int(np.maximum(values - limit, 0).sum())) > 0:
            np.minimum(values, limit, out=values)
            room = np.flatnonzero(values < limit)
            share = shares[row, layer, room]
            values[room] += rng.multinomial(excess, share / share.sum())
