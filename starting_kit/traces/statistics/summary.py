"""All figures of one trace, as plain numbers that JSON can hold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from placement.evaluation.versions import versions
from placement.grid import Case
from placement.trace import Trace

from .balance_summary import EpBalance, ep_balance
from .blocks import block_sums, half_sums, shares
from .dispersion import over_dispersion
from .drift import deviation_autocorrelation, total_variation
from .drift_figures import FAST_BLOCK, SLOW_BLOCK, DriftFigures, drift_figures
from .family import families
from .shuffle import shuffle
from .skew import DISTANCES, layer_skew, neighbour_correlation
from .slow import COMPONENTS

CURVE_POINTS = 256
SHUFFLE_SEED = 0
# Two slow blocks.
LEAST_ITERATIONS = 2 * SLOW_BLOCK


def summarise(
    trace: Trace, cases: Sequence[Case], origin: str = "not stated", notes: Sequence[str] = ()
) -> dict[str, Any]:
    """Measure a trace. cases: one or more of its cases, which differ in ep and redundant experts alone.

    origin, notes: what the manifest says of the trace.

    The trace has at least LEAST_ITERATIONS and window + 2 iterations; the window is at least FAST_BLOCK. Counts are
    those that the simulator and policies see, zeros replaced by one. Returns a mapping of numbers, texts, lists and
    mappings; what has no value is None. Sums of blocks are held beside the trace.
    """
    window = cases[0].window
    # A view: the blocks and layers that the functions take are contiguous in it.
    hotness = trace.expert_major.transpose(2, 0, 1)
    loads = hotness.sum(axis=0, dtype=np.int64)
    halves = total_variation(block_sums(hotness, half_window(trace, window)), [1])
    fast = half_sums(hotness, FAST_BLOCK)
    drift, variation = drift_figures(fast, window), _variation(fast, window)
    fast = shuffle(fast, SHUFFLE_SEED)
    shuffled, variation["shuffled"] = drift_figures(fast, window), _variation(fast, window)["raw"]
    del fast
    slow = drift.slow
    balances = [ep_balance(trace, case) for case in cases]
    layers = layer_skew(loads) | {
        "over_dispersion": over_dispersion(hotness, FAST_BLOCK),
        "over_dispersion_window": over_dispersion(hotness, window),
        "slow_sigma": np.sqrt(np.maximum(slow.variance, 0)),
        "half_window_tv": halves.raw[0],
        "half_window_tv_excess": halves.excess[0],
        "half_window_tv_largest": halves.largest[0],
    }
    for case, balance in zip(cases, balances, strict=True):
        size = case.key.rsplit("/", 1)[1]
        layers[f"static_par_{size}"] = balance.static_layers
        layers[f"ds_eplb_par_{size}"] = balance.ds_eplb_layers
    iteration_lags = _doublings(trace.iterations // 2)
    return plain(
        {
            "trace": f"{cases[0].model}/{cases[0].dataset}",
            "shape": [trace.iterations, trace.layers, trace.experts],
            "sha256": trace.sha256,
            "origin": origin,
            "notes": list(notes),
            "window": window,
            "versions": versions(),
            "counts": {
                "per_iteration": trace.totals.mean(),
                "spread": trace.totals[0].std() / trace.totals[0].mean(),
                "of_one": sum(int(np.count_nonzero(layer == 1)) for layer in trace.expert_major) / hotness.size,
            },
            "layers": layers,
            "ranks": _ranks(loads),
            "neighbours": {"distances": DISTANCES, "correlation": _mean(neighbour_correlation(loads), axis=0)},
            "total_variation": variation,
            "autocorrelation": {
                "lags": iteration_lags,
                "correlation": _mean(deviation_autocorrelation(hotness, iteration_lags), axis=1),
                "slow_lags": np.arange(len(slow.autocorrelation)) * SLOW_BLOCK,
                "slow_correlation": slow.autocorrelation,
                "shuffled_correlation": shuffled.slow.autocorrelation,
            },
            "spectrum": {
                "block": SLOW_BLOCK,
                "variance": slow.variance.sum(),
                "noise": slow.noise.sum(),
                "components": COMPONENTS,
                "shares": slow.shares,
                "shifted_shares": slow.shifted_shares,
                "eigenvalues": slow.eigenvalues[:32],
            },
            "drift": {"trace": _drift(drift), "shuffled": _drift(shuffled), "block": FAST_BLOCK, "seed": SHUFFLE_SEED},
            "families": families(drift.lasting, drift.together, drift.returning, drift.zero_lag, trace.iterations),
            "balance": [_balance(balance) for balance in balances],
        }
    )


def half_window(trace: Trace, window: int) -> int:
    """Iterations of half a window, as long as the trace has two of them."""
    return max(min(window, trace.iterations) // 2, 1)


def plain(value: Any) -> Any:
    """The value with arrays as lists, floats as they are, and None for what is not finite.

    Nothing is rounded here: the tables round once.
    """
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(item) for item in value]
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value


def _variation(fast: np.ndarray, window: int) -> dict[str, Any]:
    # An eighth of a window: fine enough for the lags, coarse enough for the noise.
    merged = min(max(window // 8 // FAST_BLOCK, 1), fast.shape[1] // 2)
    counts = block_sums(fast.sum(axis=0), merged)
    lags = _doublings(max(len(counts) // 2, 1))
    variation = total_variation(counts, lags)
    means = {part: getattr(variation, part).mean(axis=1) for part in ("raw", "noise", "excess")}
    block = merged * FAST_BLOCK
    return {"block": block, "lags": [lag * block for lag in lags], **means}


def _ranks(loads: np.ndarray) -> dict[str, Any]:
    """Load over the mean by rank: median, least and greatest of the layers."""
    falling = np.sort(shares(loads), axis=1)[:, ::-1] * loads.shape[1]
    return {"median": np.median(falling, axis=0), "least": falling.min(axis=0), "greatest": falling.max(axis=0)}


def _balance(balance: EpBalance) -> dict[str, Any]:
    fields = balance._asdict()
    for field in ("static_layers", "ds_eplb_layers"):
        del fields[field]
    for field in ("static_curve", "ds_eplb_curve"):
        fields[field] = [part.mean() for part in np.array_split(fields[field], min(CURVE_POINTS, len(fields[field])))]
    return fields


def _drift(figures: DriftFigures) -> dict[str, float]:
    return {name: value for name, value in figures._asdict().items() if name != "slow"}


def _doublings(largest: int) -> list[int]:
    return [2**power for power in range(largest.bit_length())]


def _mean(values: np.ndarray, axis: int) -> np.ndarray:
    """Mean of what is not NaN; NaN where nothing is left."""
    known = ~np.isnan(values)
    counts = known.sum(axis=axis)
    return np.where(counts, np.where(known, values, 0).sum(axis=axis) / np.maximum(counts, 1), np.nan)
