"""How a layer's shares differ between two times, against the time between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .blocks import shares

# Experts handled at a time: their deviations stay in the cache for all lags.
CHUNK = 16
# Of the counts: what constant ones leave in the sum of squared deviations is far below it.
ROUNDING = 1e-20


class TotalVariation(NamedTuple):
    """Total variation between blocks, float64 [lag, layer], means over the pairs of blocks at each lag.

    raw: as counted; noise: what independent draws of the same numbers give; excess: sqrt(raw^2 - noise^2), at least 0;
    largest: of one pair, raw.
    """

    raw: np.ndarray
    noise: np.ndarray
    excess: np.ndarray
    largest: np.ndarray


def total_variation(counts: np.ndarray, lags: Sequence[int]) -> TotalVariation:
    """Compare all pairs of blocks that are `lag` blocks apart.

    counts: integers [block, layer, expert], at least one pair for each lag (ValueError otherwise). For blocks a, b with
    n_a, n_b counts in a layer, and p the share of the two together:

        raw   = sum_e |share_a - share_b| / 2
        noise = sum_e sqrt(2 / pi * p_e (1 - p_e) (1 / n_a + 1 / n_b)) / 2

    The noise is the mean of |N(0, v)| with v the variance of a difference of two multinomial shares. A drift d adds
    to v, not to its root, so the two parts are subtracted as squares. Counts that vary more than independent draws
    leave a part of their noise in `excess`.
    """
    share = shares(counts)
    totals = counts.sum(axis=-1)
    rows = []
    for lag in lags:
        if not 0 < lag < len(counts):
            raise ValueError(f"lag {lag} needs more than the {len(counts)} blocks there are")
        raw = np.abs(share[lag:] - share[:-lag]).sum(axis=-1) / 2
        pooled = shares(counts[lag:] + counts[:-lag])
        one_each = 1 / np.maximum(totals[lag:], 1) + 1 / np.maximum(totals[:-lag], 1)
        noise = np.sqrt(2 / np.pi * pooled * (1 - pooled) * one_each[..., None]).sum(axis=-1) / 2
        rows.append((raw.mean(axis=0), noise.mean(axis=0), raw.max(axis=0)))
    raw, noise, largest = (np.array(part) for part in zip(*rows, strict=True))
    return TotalVariation(raw, noise, np.sqrt(np.maximum(raw**2 - noise**2, 0)), largest)


def deviation_autocorrelation(hotness: np.ndarray, lags: Sequence[int]) -> np.ndarray:
    """Autocorrelation of the deviations from a layer's mean shares, float64 [lag, layer].

    hotness: integers [iteration, layer, expert]; lags: iterations, 0 .. T - 1. With n_i the counts of iteration i and p
    the share over all of them, x_i = (count_i - n_i p) / sqrt(n_i p), so that independent draws have variance 1 - p:

        r(lag) = mean_i(x_i . x_{i + lag}) / mean_i(x_i . x_i)

    Sampling noise is a part of the denominator, so r falls at once from 1 at lag 0, and is 0 for independent
    draws. NaN where a layer's deviations are all zero. Raises ValueError for another lag.
    """
    iterations, layers, experts = hotness.shape
    if not all(0 <= lag < iterations for lag in lags):
        raise ValueError(f"lags must lie in 0 .. {iterations - 1}, got {list(lags)}")
    result = np.full((len(lags), layers), np.nan)
    for layer in range(layers):
        counts = hotness[:, layer]
        roots = np.sqrt(counts.sum(axis=1, dtype=np.float64))
        share = counts.sum(axis=0, dtype=np.float64)
        share /= max(share.sum(), 1)
        squares, products = 0.0, np.zeros(len(lags))
        for first in range(0, experts, CHUNK):
            part = slice(first, first + CHUNK)
            deviations = _whitened(counts[:, part], roots, share[part])
            squares += np.vdot(deviations, deviations)
            products += [np.vdot(deviations[: iterations - lag], deviations[lag:]) for lag in lags]
        if squares > ROUNDING * roots @ roots:
            result[:, layer] = products / (iterations - np.array(lags)) / (squares / iterations)
    return result


def _whitened(counts: np.ndarray, roots: np.ndarray, share: np.ndarray) -> np.ndarray:
    """(count - expected) / sqrt(expected), C order float64 [iteration, expert]; 0 where nothing is expected.

    roots: square roots of the iterations' totals; share: of the experts. sqrt(expected) is the product of their roots.
    """
    columns = np.sqrt(share)
    result = np.ascontiguousarray(counts) / np.maximum(roots, 1)[:, None]
    result /= np.where(columns > 0, columns, 1)
    result -= roots[:, None] * columns
    return result
