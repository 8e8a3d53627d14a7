"""Small random cases that brute force solves: what a greedy score is fitted to, and tried on."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from ..serving.cost import COMPAT, latency
from ..serving.replicas import replicas_of
from ..serving.routing import first_copy
from ..serving.torus import Torus
from ..traces.batches import Batches, stacked
from .brute_force import least

EXPERTS, TORUS, SLOTS, K = 8, Torus(2, 2), 2, 2
BATCHES, TOKENS = 3, 192


@dataclass(frozen=True, eq=False)
class Case:
    """A case and its optimum: the least mean latency of all tables, in us; seconds: what brute force took."""

    batches: Batches
    optimum: float
    seconds: float


def random_case(seed: int) -> Batches:
    """Batches with skew, bursts, experts that go together, and origins that prefer experts, each of random strength."""
    rng = np.random.default_rng([seed, 5])
    skew, bursts, together, local = rng.uniform(0, 1, 4)
    weight = -skew * np.log1p(np.arange(EXPERTS)) + bursts * rng.normal(size=(BATCHES, 1, EXPERTS))
    origins = rng.integers(TORUS.rows, size=(BATCHES, TOKENS))
    # A token picks one of a few groups of experts, whose weights rise.
    groups = rng.permutation(EXPERTS).reshape(-1, 2)
    group = np.zeros((len(groups), EXPERTS))
    group[np.arange(len(groups))[:, None], groups] = 3 * together
    weight = weight + group[rng.integers(len(groups), size=(BATCHES, TOKENS))]
    weight = weight + local * rng.normal(size=(TORUS.rows, EXPERTS))[origins]
    keys = weight + rng.gumbel(size=(BATCHES, TOKENS, EXPERTS))
    return stacked(np.argsort(-keys, axis=2)[:, :, :K], origins, EXPERTS)


def mean_latency(batches: Batches, table: np.ndarray) -> float:
    """Mean latency in us under the cost model `compat`, each expert with one replica, so that no router matters."""
    replicas = replicas_of(table, batches.experts)
    return float(latency(batches, replicas, first_copy(batches, replicas), TORUS, COMPAT).total.mean())


def solved(seed: int) -> Case:
    """A random case, solved by brute force over its 2520 tables, of which every other one is a mirror image."""
    batches, begun = random_case(seed), time.perf_counter()

    def value(table: np.ndarray) -> float:
        # The two columns are alike: expert 0 is in the first one.
        return np.inf if (table[1::2] == 0).any() else mean_latency(batches, table)

    outcome = least(EXPERTS, TORUS.devices, SLOTS, value)
    return Case(batches, outcome.objective, time.perf_counter() - begun)
