"""Weights of a greedy score, fitted to solved cases, and the gaps that are left on cases that the fit has not seen."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np

from .cases import SLOTS, TORUS, Case, mean_latency
from .greedy import Weights, greedy_table
from .outcome import gap_to

DRAWS = 200
# Steps of the draws around the best weights so far, from wide to narrow.
SPREAD = (1.0, 0.3, 0.1)
ONE_EACH = np.ones(8, np.int64)


@dataclass(frozen=True, eq=False)
class Gaps:
    """Gaps to the optimum, float64 [case], and the seconds that all of the tables took."""

    gap: np.ndarray
    seconds: float


def gaps(cases: Sequence[Case], weights: Weights) -> Gaps:
    """How far the greedy tables' mean latency lies above the optimum."""
    begun = time.perf_counter()
    tables = [greedy_table(case.batches, ONE_EACH, TORUS, SLOTS, weights) for case in cases]
    seconds = time.perf_counter() - begun
    values = [mean_latency(case.batches, table) for case, table in zip(cases, tables, strict=True)]
    return Gaps(np.array([gap_to(value, case.optimum) for value, case in zip(values, cases, strict=True)]), seconds)


def fitted(cases: Sequence[Case], seed: int = 0, draws: int = DRAWS) -> Weights:
    """The weights of the least mean gap on the cases: random draws around the best so far, which at first are all 0.

    So they are never worse on these cases than plain greedy. Burst and distance do not fall below 0.
    """
    rng = np.random.default_rng([seed, 6])
    best, reached = Weights(), float(gaps(cases, Weights()).gap.mean())
    for number in range(draws):
        step = SPREAD[number * len(SPREAD) // draws] * rng.normal(size=3) * rng.integers(0, 2, 3)
        drawn = np.array(astuple(best)) + step
        weights = Weights(*np.maximum(drawn, [0.0, -np.inf, 0.0]).tolist())
        if (value := float(gaps(cases, weights).gap.mean())) < reached:
            best, reached = weights, value
    return best
