"""How unevenly the experts of a layer are loaded, and whether neighbouring ids are loaded alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

RANKS = 64
DISTANCES = (1, 2, 4, 8, 16, 32)


def layer_skew(loads: np.ndarray) -> dict[str, np.ndarray]:
    """Five measures of skew of each layer, float64 [layer].

    loads: not negative, [layer, expert], in any unit. With m the mean over the E experts:

        max_over_mean  max(load) / m
        gini           sum_{i,j} |load_i - load_j| / (2 E^2 m)
        zipf_slope     minus the least-squares slope of log load on log rank, ranks 1 .. min(64, E)
        log_sigma      standard deviation of log load (population form)
        log_skewness   mean cubed deviation of log load / log_sigma^3

    The last three leave out experts without load, and are NaN where fewer than two ranks or no spread remain.
    Raises ValueError for another number of axes and for a layer without load.
    """
    loads = np.asarray(loads, np.float64)
    if loads.ndim != 2 or not (loads.sum(axis=1) > 0).all():
        raise ValueError(f"loads must be [layer, expert] with load in every layer, got shape {list(loads.shape)}")
    rising = np.sort(loads, axis=1)
    experts, mean = loads.shape[1], loads.mean(axis=1)
    weights = 2 * np.arange(1, experts + 1) - experts - 1
    sigma, skewness = np.array([_log_moments(row[row > 0]) for row in loads]).T
    return {
        "max_over_mean": rising[:, -1] / mean,
        "gini": rising @ weights / (experts**2 * mean),
        "zipf_slope": np.array([_zipf_slope(row[::-1]) for row in rising]),
        "log_sigma": sigma,
        "log_skewness": skewness,
    }


def neighbour_correlation(loads: np.ndarray, distances: Sequence[int] = DISTANCES) -> np.ndarray:
    """Correlation of standardised log load between experts whose ids are `distance` apart, float64 [layer, distance].

    loads: positive, [layer, expert]; z = (log load - mean) / standard deviation over the layer's experts;
    r(d) = mean of z[e] * z[e + d] over e = 0 .. E - d - 1. Independent loads give -1 / (E - 1) on average, because
    the mean is taken from the same experts. NaN where no pair is that far apart or a layer has no spread. Experts
    without load have z = 0.
    """
    loads = np.asarray(loads, np.float64)
    z = np.array([_standardised_logs(row) for row in loads])
    result = np.full((len(loads), len(distances)), np.nan)
    for column, distance in enumerate(distances):
        if 0 < distance < loads.shape[1]:
            result[:, column] = (z[:, :-distance] * z[:, distance:]).mean(axis=1)
    return result


def _standardised_logs(row: np.ndarray) -> np.ndarray:
    loaded = row > 0
    sigma = _log_moments(row[loaded])[0]
    z = np.zeros_like(row)
    logs = np.log(row[loaded])
    z[loaded] = (logs - logs.mean()) / sigma if sigma > 0 else np.nan
    return z


def _log_moments(loads: np.ndarray) -> tuple[float, float]:
    logs = np.log(loads)
    deviations = logs - logs.mean()
    sigma = float(np.sqrt((deviations**2).mean()))
    # Equal loads leave rounding, not spread.
    if sigma <= 1e-12:
        return 0.0, float("nan")
    return sigma, float((deviations**3).mean() / sigma**3)


def _zipf_slope(falling: np.ndarray) -> float:
    top = falling[:RANKS]
    top = top[top > 0]
    if len(top) < 2:
        return float("nan")
    ranks = np.log(np.arange(1, len(top) + 1))
    ranks -= ranks.mean()
    return float(-(ranks @ np.log(top)) / (ranks @ ranks))
