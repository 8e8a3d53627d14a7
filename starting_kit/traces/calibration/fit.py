"""Fitting parameters: Gauss-Newton steps on the logarithms of mean PAR, with the same draws before and after a step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from placement.trace import Trace

from ..generation.generator import generate
from ..generation.profile import LEAST_AND_MOST, LIMITS, Parameters, Profile
from .published import Cell
from .sweep import sampled_layers, sweep

# A parameter's step for the derivative, and the unit in which the fit is slow to move it: parts of its value for those
# that are positive by nature, absolute for the rest.
RELATIVE_STEP = 0.08
ABSOLUTE_STEPS = {"popularity_skew": 0.05, "neighbour_correlation": 0.02}
ABSOLUTE_STEPS |= {"volatility_spread": 0.1, "third_harmonic": 0.05}
# How far a seed moves what is fitted: fits hold that still.
RANGES = ("period_range", "phase_range", "switch_range")
LONGEST_STEP = 2.5
# Ridge: what a cell's error must fall by, per unit step, before a parameter is moved for it.
RESERVE = 0.003


class Step(NamedTuple):
    """A fit's state: the profile, and each cell's log of generated over published mean PAR."""

    profile: Profile
    errors: np.ndarray

    @property
    def rms(self) -> float:
        """Root mean square of the errors."""
        return float(np.sqrt(np.mean(self.errors**2)))


@dataclass(frozen=True)
class Search:
    """How far a fit looks: the parameters that it moves, its steps, and the seeds and layers of what it generates."""

    names: Sequence[str]
    seeds: Sequence[int]
    layers: int
    steps: int


def fit(profile: Profile, cells: Sequence[Cell], search: Search, pool: Executor, show: Callable[[Step], None]) -> Step:
    """Move the named parameters so that the cells' mean PAR, averaged over seeds, comes near the published.

    `show` is called with every step. Returns the best one.
    """
    names, seeds = search.names, search.seeds

    def errors(profiles: Sequence[Profile]) -> list[np.ndarray]:
        jobs = [pool.submit(log_errors, one, cells, seed, search.layers) for one in profiles for seed in seeds]
        parts = [job.result() for job in jobs]
        return [np.mean(parts[first : first + len(seeds)], axis=0) for first in range(0, len(parts), len(seeds))]

    best = current = Step(profile, errors([profile])[0])
    show(current)
    for _ in range(search.steps):
        moved = [_moved(current.profile, {name: 1.0}) for name in names]
        slopes = np.array([after - current.errors for after in errors(moved)]).T
        ridge = len(cells) * RESERVE**2 * np.eye(len(names))
        wanted = np.linalg.solve(slopes.T @ slopes + ridge, -slopes.T @ current.errors)
        wanted = np.clip(wanted, -LONGEST_STEP, LONGEST_STEP)
        profile = _moved(current.profile, dict(zip(names, wanted, strict=True)))
        current = Step(profile, errors([profile])[0])
        show(current)
        best = min(best, current, key=lambda step: step.rms)
    return best


def log_errors(profile: Profile, cells: Sequence[Cell], seed: int, layers: int) -> np.ndarray:
    """Log of generated over published mean PAR, float64 [cell], on a sample of the model's layers."""
    shape = profile.iterations, len(sampled_layers(profile.layers, layers)), profile.experts
    trace = Trace(generate(profile.parameters, *shape, seed, fitted=True), profile.name)
    by_cell = sweep(trace, profile.layers, list(cells))
    return np.log([by_cell[cell].mean_par / cell.mean_par for cell in cells])


def _moved(profile: Profile, amounts: dict[str, float]) -> Profile:
    """The profile with parameters moved by so many of their steps, held inside what the model allows."""
    changes = {}
    for name, amount in amounts.items():
        value = getattr(profile.parameters, name)
        absolute = name in ABSOLUTE_STEPS
        value = value + amount * ABSOLUTE_STEPS[name] if absolute else value * np.exp(amount * RELATIVE_STEP)
        changes[name] = float(np.clip(value, *LIMITS.get(name, LEAST_AND_MOST)))
    return profile.with_parameters(**changes)


def fittable() -> list[str]:
    """The parameters that a fit can move: the real numbers among them, but for RANGES."""
    return [name for name, value in vars(Parameters()).items() if isinstance(value, float) and name not in RANGES]
