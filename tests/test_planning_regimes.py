"""Where a regime of the loads begins, and what comes back."""

from __future__ import annotations

import numpy as np
import pytest

from planning.memory import Memory
from planning.regimes import Regimes, explained, variation

LAYERS, EXPERTS, WINDOW, TOKENS = 4, 16, 256, 4000


def shares(seed: int) -> np.ndarray:
    """Shares of experts, [layer, expert]."""
    weights = np.random.default_rng(seed).lognormal(sigma=0.7, size=(LAYERS, EXPERTS))
    return weights / weights.sum(axis=1, keepdims=True)


def drawn(course: np.ndarray, seed: int) -> np.ndarray:
    """Counts of a course of shares [iteration, layer, expert]."""
    return np.random.default_rng(seed).poisson(course * TOKENS).astype(np.int32)


def steady(share: np.ndarray, iterations: int = WINDOW) -> np.ndarray:
    return np.tile(share, (iterations, 1, 1))


def ramp(first: np.ndarray, second: np.ndarray, begin: int, width: int) -> np.ndarray:
    """A window of the first shares that from `begin` on turn into the second within `width` iterations."""
    part = np.clip((np.arange(WINDOW) - begin) / width, 0, 1)[:, None, None]
    return (1 - part) * first + part * second


def after(*courses: np.ndarray, seed: int = 0) -> Regimes:
    regimes = Regimes(LAYERS, EXPERTS)
    for number, course in enumerate(courses):
        regimes.add(drawn(course, 100 * seed + number))
    return regimes


@pytest.mark.parametrize("seed", range(8))
def test_steady_loads_are_one_regime(seed: int) -> None:
    regimes = after(*[steady(shares(seed))] * 3, seed=seed)
    assert (regimes.before, len(regimes.now.means)) == (None, 96)


@pytest.mark.parametrize("seed", range(8))
def test_after_a_change_the_present_regime_alone_gives_the_load(seed: int) -> None:
    first, second = shares(seed), shares(seed + 50)
    regimes = after(steady(first), ramp(first, second, 60, 1), seed=seed)
    # The change lies in block 7 of 32.
    assert len(regimes.now.means) in (24, 25)
    blocks = regimes.outlook()
    np.testing.assert_allclose(blocks.load(), regimes.now.load(), atol=1e-6)
    np.testing.assert_allclose(blocks.load(), second, atol=0.01)


def test_what_rose_together_before_a_change_still_does_in_parts_of_the_new_load() -> None:
    first, second = shares(1), shares(2)
    wave = np.sin(np.arange(WINDOW) / 20)[:, None, None] * 0.3 * (np.arange(EXPERTS) < 4)
    early = first * (1 + wave)
    regimes = after(early / early.sum(axis=2, keepdims=True), steady(second))
    loadings = regimes.outlook().loadings()
    size = np.sqrt((loadings**2).sum(axis=0)) / second
    assert size[:, :4].mean() > 2 * size[:, 4:].mean()


def test_loads_that_were_seen_before_are_explained_and_new_ones_are_not() -> None:
    old, new = Memory(LAYERS, EXPERTS), Memory(LAYERS, EXPERTS)
    old.add(drawn(ramp(shares(1), shares(2), 100, 60), 1))
    new.add(drawn(steady(shares(2)), 2))
    assert explained(old, new) > 0.9
    new = Memory(LAYERS, EXPERTS)
    new.add(drawn(steady(shares(3)), 3))
    assert explained(old, new) < 0.6


def test_loads_that_come_back_count_more_than_those_that_do_not() -> None:
    first, second = shares(1), shares(2)
    back = ramp(first, second, 128, 1)
    regimes = after(back, back, back)
    blocks = regimes.outlook()
    assert len(blocks.means) == 96
    assert blocks.weights.sum() == pytest.approx(1)
    # The second half of every window is as now.
    assert blocks.weights[20:30].min() > blocks.weights[2:14].max()


def test_a_variation_that_sampling_alone_gives_is_none() -> None:
    share = shares(5)
    two = [Memory(LAYERS, EXPERTS) for _ in range(2)]
    for seed, memory in enumerate(two):
        memory.add(drawn(steady(share), seed))
    assert abs(variation(*two)) < 0.002
    other = Memory(LAYERS, EXPERTS)
    other.add(drawn(steady(shares(6)), 3))
    expected = np.abs(share - shares(6)).sum(axis=1).mean() / 2
    assert variation(two[0], other) == pytest.approx(expected, abs=0.02)


def test_windows_too_short_to_compare_are_remembered_all_the_same() -> None:
    regimes = Regimes(1, 2)
    for _ in range(3):
        regimes.add(np.array([[[1, 3]], [[2, 2]], [[3, 1]]], np.int32))
    assert (regimes.before, len(regimes.now.means)) == (None, 9)
