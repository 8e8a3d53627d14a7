"""Fitting parameters: Gauss-Newton steps on the logarithms of PAR, with the same draws before and after a step.

The errors are those of all layers, averaged over the seeds. Their slopes come from fewer layers and seeds: those are
off alike before and after a step, while errors of few layers are theirs alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..generation.profile import LEAST_AND_MOST, LIMITS, LISTS, Parameters, Profile
from .errors import Generated, Measurement, Target, measure

# A parameter's step for the derivative, and the unit in which the fit is slow to move it: parts of its value for those
# that are positive by nature, absolute for the rest.
RELATIVE_STEP = 0.04
ABSOLUTE_STEPS = {"popularity_skew": 0.03, "neighbour_correlation": 0.015, "volatility_spread": 0.05}
ABSOLUTE_STEPS |= {"second_harmonic": 0.05, "third_harmonic": 0.05, "topic_alignment": 0.05}
ABSOLUTE_STEPS |= {"topic_period_spread": 0.02, "regime_common": 0.05, "regime_strength": 0.03, "switches": 30.0}
# How far a seed moves what is fitted: fits hold that still.
RANGES = ("period_range", "phase_range", "switch_range")
LONGEST_STEP = 3.0
# Ridge: what the weighted error must fall by, per unit step, before a parameter is moved for it; more after a step
# that made things worse.
RESERVE = 0.001
MORE_RESERVE = 8.0
SLOPE_SEEDS = 2


class Step(NamedTuple):
    """A fit's state: the profile, and its measurement on each seed."""

    profile: Profile
    measurements: list[Measurement]
    cost: float


@dataclass(frozen=True)
class Search:
    """How far a fit looks: the parameters that it moves, its steps, its seeds, and the layers that slopes come from.

    folder: where measurements are kept, so that a fit that was ended goes on where it was; or None.
    """

    names: Sequence[str]
    seeds: Sequence[int]
    layers: int
    steps: int
    folder: Path | None = None


def fit(profile: Profile, target: Target, search: Search, pool: Executor, show: Callable[[Step], None]) -> Step:
    """Move the named parameters so that PAR, averaged over seeds, comes near the published.

    `show` is called with every step. Returns the best one. A step that makes things worse is taken back, and the next
    is shorter.
    """
    names = search.names
    best, slopes = _measured([profile], target, search, pool)[0], None
    show(best)
    reserve = RESERVE
    for _ in range(search.steps):
        if slopes is None:
            moved = [_moved(best.profile, {name: 1.0}) for name in names]
            few = replace(search, seeds=search.seeds[:SLOPE_SEEDS])
            before, *after = _measured([best.profile, *moved], target, few, pool, search.layers)
            from_here = _weighted(before, target)
            slopes = np.array([_weighted(step, target) - from_here for step in after]).T
        ridge = reserve * np.eye(len(names))
        wanted = np.linalg.solve(slopes.T @ slopes + ridge, -slopes.T @ _weighted(best, target))
        wanted = np.clip(wanted, -LONGEST_STEP, LONGEST_STEP)
        step = _measured([_moved(best.profile, dict(zip(names, wanted, strict=True)))], target, search, pool)[0]
        show(step)
        if step.cost < best.cost:
            best, slopes = step, None
        else:
            reserve *= MORE_RESERVE
    return best


def fittable(profile: Profile) -> list[str]:
    """The parameters that a fit can move: the real numbers among them, but for RANGES, and each element of a list.

    An element is named with its index, such as switches:0.
    """
    names = [name for name, value in vars(Parameters()).items() if isinstance(value, float) and name not in RANGES]
    return names + [f"{name}:{index}" for name in LISTS for index in range(len(getattr(profile.parameters, name)))]


def value_of(profile: Profile, name: str) -> float:
    """The value of a parameter, or of an element, as `fittable` names them."""
    name, _, index = name.partition(":")
    value = getattr(profile.parameters, name)
    return float(value[int(index)] if index else value)


def _measured(
    profiles: Sequence[Profile], target: Target, search: Search, pool: Executor, layers: int | None = None
) -> list[Step]:
    traces = [[Generated(one, seed, layers, folder=search.folder) for seed in search.seeds] for one in profiles]
    # A parameter that cannot move gives the same trace once more.
    jobs = {trace: pool.submit(measure, trace, target) for trace in dict.fromkeys(chain(*traces))}
    steps = []
    for profile, of in zip(profiles, traces, strict=True):
        step = Step(profile, [jobs[trace].result() for trace in of], 0.0)
        steps.append(step._replace(cost=float(np.sum(_weighted(step, target) ** 2))))
    return steps


def _weighted(step: Step, target: Target) -> np.ndarray:
    """Errors averaged over seeds, in per cent, so weighted that their sum of squares adds the groups' mean squares."""
    by_seed = [measurement.errors(target) for measurement in step.measurements]
    parts = []
    for group, weight in target.groups().items():
        errors = np.mean([errors[group] for errors in by_seed], axis=0)
        parts.append(100 * errors * np.sqrt(weight / len(errors)))
    return np.concatenate(parts)


def _moved(profile: Profile, amounts: dict[str, float]) -> Profile:
    """The profile with parameters moved by so many of their steps, held inside what the model allows."""
    for name, amount in amounts.items():
        parameter, _, index = name.partition(":")
        absolute = ABSOLUTE_STEPS.get(parameter)
        value = value_of(profile, name)
        value = value + amount * absolute if absolute else value * np.exp(amount * RELATIVE_STEP)
        value = float(np.clip(value, *LIMITS.get(parameter, LEAST_AND_MOST)))
        if index:
            elements, place = list(getattr(profile.parameters, parameter)), int(index)
            if parameter == "switches":
                # Whole, and between those beside it: they rise.
                before, after = elements[:place][-1:], elements[place + 1 :][:1]
                value = min([round(value), *(switch - 1 for switch in after)])
                value = max([value, *(switch + 1 for switch in before)])
            elements[place] = value
            profile = profile.with_parameters(**{parameter: elements})
        else:
            profile = profile.with_parameters(**{parameter: value})
    return profile
