"""Each expert's share of its layer's load over time: what lasts, moved by topics in common and by itself.

    load[t, l, e] = sum_r f_r(t) * share[r, l, e] * exp(v[l, e] * (sum_k w_k(t) * pi[k, l, e] + own_drift * x[t, l, e]))

    f, w    regimes and topics over time, the same in all layers, as timing.py says
    share   the lasting popularity of each regime, as popularity.py says
    pi      N(0, 1 / topics): groups of experts, some of them against others; each expert has a part in every topic.
            Their sum is topic_alignment * n + sqrt(1 - topic_alignment^2) * N(0, 1), n the normal quantile of the
            expert's rank in the first regime: aligned, hot experts are hottest at the crest
    x       an Ornstein-Uhlenbeck process of variance 1 and memory own_memory, each expert's for itself; of n memories,
            the sum of n such processes over sqrt(n), so that each has an equal part of the variance
    v       volatility: exp(s N(0, 1) - s^2), s = volatility_spread, so that v^2 has mean 1

Over the layers, the sums of pi and the v of the experts of one rank are a Latin hypercube sample: one in each of as
many equally likely parts as there are layers. PAR rests on each layer's hottest experts; so a single trace is typical
of its parameters.

All of it stands still for STEP iterations.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .popularity import normal, normal_quantiles, regime_shares
from .profile import Parameters
from .timing import Timing, draw_spread, regime_weights, topic_weights

STEP = 16


class Shares:
    """Shares of one step of STEP iterations after the other; where it stands can be marked, and gone back to."""

    def __init__(self, p: Parameters, timing: Timing, layers: int, experts: int, seed: np.random.SeedSequence) -> None:
        lasting, moving, self._alone = (np.random.Generator(np.random.PCG64(child)) for child in seed.spawn(3))
        self._parameters, self._timing = p, timing
        self._regimes = regime_shares(p, layers, experts, lasting)
        self._spread = draw_spread(p, moving)
        ranks = self._regimes[0].argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
        self._volatility = np.exp(p.volatility_spread * spread_over_layers(ranks, moving) - p.volatility_spread**2)
        self._topics = _draw_topics(p, ranks, moving)
        memories = np.atleast_1d(p.own_memory)
        # One by one: an array's exp() may differ from a number's in the last digit.
        self._memory = np.array([np.exp(-STEP / one) for one in memories])[:, None, None]
        self._own = self._alone.standard_normal((len(memories), layers, experts))
        self._step = 0

    def draw(self) -> np.ndarray:
        """The next step's: float64 [layer, expert], every row adding up to 1.

        Raises ValueError for parameters that leave the range of the numbers.
        """
        p, t = self._parameters, self._step * STEP
        if t:
            noise = self._alone.standard_normal(self._own.shape)
            self._own = self._memory * self._own + np.sqrt(1 - self._memory**2) * noise
        moved = p.own_drift / np.sqrt(len(self._own)) * self._own.sum(axis=0)
        # Plain sums, not matrix products: BLAS libraries differ in the order in which they add.
        for weight, topic in zip(topic_weights(p, self._timing, self._spread, t), self._topics, strict=True):
            moved += weight * topic
        weights = regime_weights(p, self._timing, t)
        popular = sum(weight * share for weight, share in zip(weights, self._regimes, strict=True))
        load = popular * np.exp(self._volatility * moved)
        share = load / load.sum(axis=1, keepdims=True)
        if not np.isfinite(share).all():
            raise ValueError("these parameters give loads that are not finite")
        self._step += 1
        return share

    def mark(self) -> tuple[int, np.ndarray, Any]:
        """Where it stands: the next step's number, and what that is drawn from."""
        return self._step, self._own, self._alone.bit_generator.state

    def go_to(self, mark: tuple[int, np.ndarray, Any]) -> None:
        """Stand where `mark` was made."""
        self._step, self._own, self._alone.bit_generator.state = mark


def _draw_topics(p: Parameters, ranks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """pi: float64 [topic, layer, expert]."""
    topics = rng.standard_normal((p.topics, *ranks.shape)) / np.sqrt(p.topics)
    aligned = p.topic_alignment * normal_quantiles(ranks.shape[1])[ranks]
    wanted = aligned + np.sqrt(1 - p.topic_alignment**2) * spread_over_layers(ranks, rng)
    return topics + (wanted - topics.sum(axis=0)) / p.topics


def spread_over_layers(ranks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """N(0, 1) [layer, expert], for each rank a Latin hypercube sample over the layers; ranks: int [layer, expert]."""
    layers, experts = ranks.shape
    strata = rng.permuted(np.tile(np.arange(layers)[:, None], experts), axis=0)
    by_rank = normal((strata + rng.random((layers, experts))) / layers)
    return np.take_along_axis(by_rank, ranks, axis=1)
