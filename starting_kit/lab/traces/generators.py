"""Synthetic routing from a seed: each kind puts one property into the trace, for planners to find.

A token's k experts are drawn without replacement. With weights p and independent standard exponentials e, the k largest
p / e are such a draw (the exponential race, which is Gumbel top-k on log p), and p / e over its sum is the softmax of
log p + Gumbel noise: a router's score whose top k are the choices.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from .layers import LazyLayers
from .routing_trace import RoutingTrace

# Tokens drawn at a time: 2048 x 256 float32 stay in the cache of a core.
BLOCK = 2048
# Tokens of a synthetic request.
REQUEST = 64
# (layer, its generator) -> (tokens int64 [n] -> weights [n, expert] or [expert])
Weights = Callable[[int, np.random.Generator], Callable[[np.ndarray], np.ndarray]]


@dataclass(frozen=True)
class Sample:
    """How much every kind draws: tokens of k experts each, in layers that share nothing but the seed.

    scores: whether to keep the router's scores, float32 [layer, token, expert]; first: the number of the first layer,
    so that layers can be drawn one by one. Raises ValueError for sizes that no
    token can be drawn from.
    """

    tokens: int
    experts: int = 256
    k: int = 8
    layers: int = 1
    seed: int = 0
    scores: bool = False
    first: int = 0

    def __post_init__(self) -> None:
        if self.tokens < 1 or self.layers < 1 or not 1 <= self.k <= self.experts:
            raise ValueError(
                f"{self.tokens} tokens, {self.layers} layers, {self.k} of {self.experts} experts; expected 1 or more, "
                "and k within the experts"
            )


def zipf(sample: Sample, exponent: float = 1.05) -> RoutingTrace:
    """A lasting skew: expert i has the weight (i + 1)^-exponent times a factor in 0.9 .. 1.1 drawn for the layer.

    Source of the form: the generator of johanna-rock/moe-balance.
    """

    def weights(_: int, rng: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
        weight = _ranked(sample.experts, exponent) * rng.uniform(0.9, 1.1, sample.experts)
        return lambda _: weight

    return _draw(weights, sample)


def uniform(sample: Sample) -> RoutingTrace:
    """No skew at all: every expert has the same weight."""
    return _draw(lambda *_: lambda _: np.ones(sample.experts), sample)


def clustered(
    sample: Sample, exponent: float = 0.3, clusters: int = 16, boost: float = 40.0, cluster_exponent: float = 0.7
) -> RoutingTrace:
    """Co-activation: a token picks one of the clusters of experts, whose weights are `boost` times the others'.

    Clusters are of one size within 1, their experts random in each layer, and a token's cluster is the same in all
    layers. exponent: the skew over experts, whose ranks are random; cluster_exponent: that over clusters, because of
    which the hottest experts share few clusters and attract each other. boost 1 has no clusters.
    """
    experts = sample.experts
    if not 1 <= clusters <= experts:
        raise ValueError(f"{clusters} clusters of {experts} experts; expected 1 .. {experts}")
    chance = _ranked(clusters, cluster_exponent) / clusters
    # Seeds of two numbers draw the layers.
    cluster_of_token = np.random.default_rng([sample.seed, 0, 1]).choice(clusters, sample.tokens, p=chance)

    def weights(_: int, rng: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
        popular = rng.permutation(_ranked(experts, exponent))
        cluster_of_expert = rng.permutation(np.arange(experts) % clusters)
        weight = popular * np.where(cluster_of_expert == np.arange(clusters)[:, None], boost, 1.0)
        return lambda token: weight[cluster_of_token[token]]

    return _draw(weights, sample)


def drifting(sample: Sample, exponent: float = 1.05, phases: int = 4) -> RoutingTrace:
    """A hot set that changes: the skew's ranks are drawn anew for each phase, and weights move evenly to the next.

    phases: hot sets from the first token to the last, at least 2.
    """
    if phases < 2:
        raise ValueError(f"a drift over {phases} phases; expected at least 2")

    def weights(_: int, rng: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
        sets = np.stack([rng.permutation(_ranked(sample.experts, exponent)) for _ in range(phases)])

        def blend(token: np.ndarray) -> np.ndarray:
            time = token / max(1, sample.tokens - 1) * (phases - 1)
            phase = np.minimum(time.astype(np.int64), phases - 2)
            part = (time - phase)[:, None]
            return (1 - part) * sets[phase] + part * sets[phase + 1]

        return blend

    return _draw(weights, sample)


def bursty(
    sample: Sample, bursting: int = 16, chance: float = 0.15, factor: float = 30.0, burst: int = 1024
) -> RoutingTrace:
    """Experts of two sorts: `bursting` of them, the same all the time, have `factor` times their weight in bursts.

    burst: tokens that a burst lasts, best the tokens of a batch; chance: of a burst, in each such time and for each of
    these experts alone. The others are steady, so a mean hides what the variance shows.
    """
    experts = sample.experts
    if not 0 <= bursting <= experts or burst < 1:
        raise ValueError(f"{bursting} bursting experts of {experts} for {burst} tokens; expected a part of them, and 1")

    def weights(_: int, rng: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
        # A skew of its own beside the bursts.
        popular = rng.permutation(_ranked(experts, 0.5))
        times = -(-sample.tokens // burst)
        weight = np.tile(popular, (times, 1))
        chosen = rng.choice(experts, bursting, replace=False)
        weight[:, chosen] *= np.where(rng.random((times, bursting)) < chance, factor, 1.0)
        return lambda token: weight[token // burst]

    return _draw(weights, sample)


GENERATORS = {made.__name__: made for made in (zipf, clustered, drifting, bursty, uniform)}


def _ranked(experts: int, exponent: float) -> np.ndarray:
    """Weights of the ranks 1 .. experts: rank^-exponent, of mean 1."""
    weights = np.arange(1, experts + 1, dtype=np.float64) ** -exponent
    return weights / weights.mean()


def _draw(weights: Weights, sample: Sample) -> RoutingTrace:
    tokens, experts, k, layers = sample.tokens, sample.experts, sample.k, sample.layers
    choices = np.empty((layers, tokens, k), np.int32)
    scores = np.empty((layers, tokens, experts), np.float32) if sample.scores else None
    for layer in range(layers):
        # A generator per layer: a layer is the same however many there are.
        rng = np.random.default_rng([sample.seed, sample.first + layer])
        of_tokens = weights(sample.first + layer, rng)
        for first in range(0, tokens, BLOCK):
            token = np.arange(first, min(first + BLOCK, tokens))
            waits = rng.standard_exponential((len(token), experts), dtype=np.float32)
            race = of_tokens(token).astype(np.float32) / np.maximum(waits, np.float32(1e-30))
            race /= race.sum(axis=1, keepdims=True)
            choices[layer, token] = top(race, k)
            if scores is not None:
                scores[layer, token] = race
    numbers = tuple(range(sample.first, sample.first + layers))
    return RoutingTrace(experts, numbers, choices, np.arange(tokens) // REQUEST, None, scores)


def drawn_lazily(kind: str, sample: Sample, **words: float) -> RoutingTrace:
    """The same trace, whose layers are drawn when they are asked for; kind: one of GENERATORS, with its words."""

    # A layer is asked for twice in a row: for its choices and for its scores.
    @lru_cache(maxsize=1)
    def drawn(layer: int) -> RoutingTrace:
        return GENERATORS[kind](replace(sample, layers=1, first=layer), **words)

    def lazy(columns: int, make: Callable[[int], np.ndarray], dtype: type) -> LazyLayers:
        return LazyLayers((sample.layers, sample.tokens, columns), make, dtype)

    choices = lazy(sample.k, lambda layer: drawn(layer).choices[0], np.int32)
    scores = lazy(sample.experts, lambda layer: drawn(layer).scores[0], np.float32) if sample.scores else None
    requests = np.arange(sample.tokens) // REQUEST
    return RoutingTrace(sample.experts, tuple(range(sample.layers)), choices, requests, None, scores)


def top(scores: np.ndarray, k: int) -> np.ndarray:
    """The k experts of the highest scores, the best first, of equal ones the lower id: int64 [token, k].

    scores: [token, expert].
    """
    experts = scores.shape[1]
    if k == experts:
        return np.argsort(-scores, axis=1, kind="stable")
    # Partitioned at k too, to see where the last chosen and the best left out are equal: there it may choose either.
    places = np.argpartition(-scores, (k - 1, k), axis=1)[:, : k + 1]
    ends = np.take_along_axis(scores, places[:, k - 1 :], axis=1)
    chosen = np.sort(places[:, :k], axis=1)
    order = np.argsort(-np.take_along_axis(scores, chosen, axis=1), axis=1, kind="stable")
    result = np.take_along_axis(chosen, order, axis=1)
    tied = ends[:, 0] == ends[:, 1]
    result[tied] = np.argsort(-scores[tied], axis=1, kind="stable")[:, :k]
    return result
