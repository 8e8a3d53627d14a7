"""Drift and covariance in a few figures, made from blocks, so that a trace and its shuffle null have the same ones."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .blocks import block_sums
from .covariance import covariance_worth
from .drift import total_variation
from .slow import SlowSpectrum, slow_spectrum, zero_lag

# Iterations: a block that is put elsewhere as a whole, and one that the slow part is measured by.
FAST_BLOCK = 16
SLOW_BLOCK = 64


class DriftFigures(NamedTuple):
    """What moves, and how; NaN where there is no value.

    half_window_tv, half_window_tv_excess: total variation between neighbouring halves of windows, means over layers.
    lasting: slow variance over itself and the noise of a slow block's half; may come out slightly negative.
    zero_lag: iterations after which the autocorrelation of the slow part reaches zero.
    returning: that autocorrelation at twice the zero lag.
    together: part of the slow variance in its first component, less that of experts shifted in time.
    covariance_worth: as covariance.py says.
    slow: the slow part that they come from.
    """

    half_window_tv: float
    half_window_tv_excess: float
    lasting: float
    zero_lag: float
    returning: float
    together: float
    covariance_worth: float
    slow: SlowSpectrum


def drift_figures(halves: np.ndarray, window: int) -> DriftFigures:
    """Measure counts [half, block, layer, expert]: the even and the odd iterations of blocks of FAST_BLOCK.

    Needs two blocks of SLOW_BLOCK; window: iterations, cut to whole blocks.
    """
    counts = halves.sum(axis=0)
    half_window = min(max(window // 2 // FAST_BLOCK, 1), len(counts) // 2)
    variation = total_variation(block_sums(counts, half_window), [1])
    slow = slow_spectrum(np.stack([block_sums(half, SLOW_BLOCK // FAST_BLOCK) for half in halves]))
    variance, noise, zero = slow.variance.sum(), slow.noise.sum(), zero_lag(slow.autocorrelation)
    lags = np.arange(len(slow.autocorrelation))
    return DriftFigures(
        float(variation.raw.mean()),
        float(variation.excess.mean()),
        float(variance / (variance + noise)) if variance + noise > 0 else 0.0,
        zero * SLOW_BLOCK,
        float(np.interp(2 * zero, lags, slow.autocorrelation)) if 2 * zero <= lags[-1] else float("nan"),
        float(slow.shares[0] - slow.shifted_shares[0]),
        covariance_worth(counts, window // FAST_BLOCK),
        slow,
    )
