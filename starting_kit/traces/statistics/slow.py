"""The part of the experts' deviations that lasts: its size, how long it lasts, and in how many groups experts move.

Noise is removed without a model of it. The even and the odd iterations of a block share what lasts longer than an
iteration, and have independent noise, whether that is of multinomial draws or larger. With E_b and O_b the
deviations of a block's even and odd iterations, of all layers' experts in one vector, each expert's share less its
mean over the blocks, over the square root of its mean share p:

    gram[b, c] = (E_b . O_c + O_b . E_c) / 2

has no noise in its mean. Deviations with a memory of a few iterations, such as a request leaves, count as lasting: the
autocorrelation then falls at the first lag. Ones that alternate from iteration to iteration count negatively.

The matrix has the same eigenvalues, times the number of blocks, as the covariance [expert, expert] of the slow part,
and only [block, block] entries. As p (x / p)^2 = (x / sqrt p)^2, a layer's slow variance is the
load-weighted mean of squared relative deviations, and its root comes near the standard deviation of log load in time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .blocks import shares

COMPONENTS = (1, 3, 6, 10)
# Below this many standard deviations of its noise a slow variance cannot be told from none.
SIGNIFICANT = 4.0


class SlowSpectrum(NamedTuple):
    """What lasts, of all layers together.

    variance: float64 [layer], slow variance as above; may come out slightly negative where nothing lasts.
    noise: float64 [layer], variance of the halves' noise in one block, in the same unit.
    eigenvalues: float64 [block], falling, of the slow covariance; they add up to the sum of `variance`.
    shares: float64 [component], part of the slow variance in the first k components; NaN where nothing lasts.
    shifted_shares: the same when every expert's deviations are moved by a random time, around the trace's end: what
        experts that move alone, with the same waves, would give. Only what exceeds it tells of groups.
    autocorrelation: float64 [lag], lags of 0 .. blocks // 2 blocks: mean of gram[b, b + lag] over mean of gram[b, b].
    """

    variance: np.ndarray
    noise: np.ndarray
    eigenvalues: np.ndarray
    shares: np.ndarray
    shifted_shares: np.ndarray
    autocorrelation: np.ndarray


def slow_spectrum(halves: np.ndarray, components: Sequence[int] = COMPONENTS) -> SlowSpectrum:
    """Separate what lasts from noise, and decompose it.

    halves: counts [half, block, layer, expert] of the blocks' even and odd iterations; two blocks or more.
    """
    mean_share = shares((halves[0] + halves[1]).sum(axis=0))
    even, odd = (_deviations(counts, mean_share) for counts in halves)
    blocks, layers, experts = even.shape
    variance = np.einsum("ble,ble->l", even, odd) / blocks
    noise = (np.einsum("ble,ble->l", even, even) + np.einsum("ble,ble->l", odd, odd)) / (2 * blocks) - variance
    even, odd = even.reshape(blocks, -1), odd.reshape(blocks, -1)
    gram = _gram(even, odd)
    doubt = noise.sum() / np.sqrt(blocks * layers * max(experts - 1, 1))
    if variance.sum() > SIGNIFICANT * max(doubt, 1e-12):
        shift = np.random.default_rng(0).integers(0, blocks, even.shape[1])
        moved = (np.arange(blocks)[:, None] + shift) % blocks
        shifted = _gram(*(np.take_along_axis(half, moved, axis=0) for half in (even, odd)))
        parts, shifted_parts = _leading_shares(gram, components), _leading_shares(shifted, components)
        diagonals = np.array([np.diagonal(gram, lag).mean() for lag in range(blocks // 2 + 1)])
        autocorrelation = diagonals / diagonals[0]
    else:
        parts = shifted_parts = np.full(len(components), np.nan)
        autocorrelation = np.full(blocks // 2 + 1, np.nan)
    eigenvalues = np.linalg.eigvalsh(gram)[::-1] / blocks
    return SlowSpectrum(variance, noise, eigenvalues, parts, shifted_parts, autocorrelation)


def zero_lag(autocorrelation: np.ndarray) -> float:
    """Where a curve that starts above zero first reaches zero, in lags, between two of them by a straight line.

    NaN when the curve stays above zero or has no values.
    """
    at_zero = np.flatnonzero(autocorrelation <= 0)
    if not at_zero.size or at_zero[0] == 0:
        return float("nan")
    after = int(at_zero[0])
    above, below = autocorrelation[after - 1], autocorrelation[after]
    return float(after - 1 + above / (above - below))


def _deviations(counts: np.ndarray, mean_share: np.ndarray) -> np.ndarray:
    """Whitened deviations [block, layer, expert]; 0 for experts that are never chosen."""
    share = shares(counts)
    share -= share.mean(axis=0)
    share /= np.sqrt(np.where(mean_share > 0, mean_share, 1))
    return share


def _gram(even: np.ndarray, odd: np.ndarray) -> np.ndarray:
    product = even @ odd.T
    return (product + product.T) / 2


def _leading_shares(gram: np.ndarray, components: Sequence[int]) -> np.ndarray:
    """Part of the trace in the first k eigenvalues; at most 1, which noise in small ones would exceed."""
    falling = np.linalg.eigvalsh(gram)[::-1]
    return np.array([min(falling[:count].sum() / falling.sum(), 1.0) for count in components])
