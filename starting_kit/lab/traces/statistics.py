"""What a routing trace looks like: shares of experts over batches, active experts, co-activation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .batches import Batches
from .routing_trace import RoutingTrace
from .side_by_side import side_by_side

if TYPE_CHECKING:
    import pandas as pd

# Tokens multiplied at a time. Float32 sums of ones are exact up to 2^24.
BLOCK = 8192


def nearest_rank(values: np.ndarray, share: float, axis: int = -1) -> np.ndarray:
    """The value at place min(n, ceil(share * n)) of the sorted ones over an axis: without that axis.

    Source of the rule: the published placement simulator, which takes percentiles so.
    """
    count = values.shape[axis]
    place = min(count, int(np.ceil(share * count))) - 1
    return np.take(np.partition(values, place, axis=axis), place, axis=axis)


def shares(batches: Batches) -> np.ndarray:
    """Each expert's share of a batch's choices: float64 [batch, expert], of sum 1 in every batch."""
    return batches.load / batches.load.sum(axis=1, keepdims=True)


def burstiness(batches: Batches) -> np.ndarray:
    """How much more an expert's load swings over batches than a steady one's: float64 [expert].

    With q[b] the part of batch b's n[b] tokens that chose the expert: var(q) / (m (1 - m) mean(1 / n)), where m is the
    mean and var the mean squared distance from it; that is the variance over the one of n draws of the chance m. About
    1 - 1 / batches when steady, far above 1 in bursts or drift, 0 for an expert chosen by all tokens or none.
    """
    sizes = np.diff(batches.starts)
    part = batches.load / sizes[:, None]
    mean = part.mean(axis=0)
    steady = mean * (1 - mean) * (1 / sizes).mean()
    return np.divide(part.var(axis=0), steady, out=np.zeros_like(mean), where=steady > 1e-15)


def active_experts(batches: Batches) -> np.ndarray:
    """How many experts have a token: int64 [batch]."""
    return np.count_nonzero(batches.load, axis=1)


def coactivation(choices: np.ndarray, experts: int) -> np.ndarray:
    """How many tokens chose both of two experts: int64 [expert, expert], symmetric, the diagonal 0.

    choices: integers [token, k], distinct in a token. X^T X with X[token, expert] = 1 where chosen. A row sums to
    (k - 1) times the expert's tokens.
    """
    result = np.zeros((experts, experts), np.int64)
    for first in range(0, len(choices), BLOCK):
        block = choices[first : first + BLOCK]
        chosen = np.zeros((len(block), experts), np.float32)
        chosen[np.arange(len(block))[:, None], block] = 1
        result += (chosen.T @ chosen).astype(np.int64)
    np.fill_diagonal(result, 0)
    return result


def frequencies(batches: Batches) -> dict[str, np.ndarray]:
    """A layer's columns of the frame: [expert] each.

    count: tokens; share, variance and p95 (nearest rank) of the expert's share over batches; burstiness, see there;
    active: the part of the batches in which it has a token.
    """
    share = shares(batches)
    return {
        "count": batches.load.sum(axis=0),
        "share": share.mean(axis=0),
        "variance": share.var(axis=0),
        "p95": nearest_rank(share, 0.95, axis=0),
        "burstiness": burstiness(batches),
        "active": (batches.load > 0).mean(axis=0),
    }


def frequency_frame(
    trace: RoutingTrace, tokens_per_batch: int = 1024, seed: int | None = None, jobs: int = 1
) -> pd.DataFrame:
    """Frequencies of every expert in every layer: a row for each (layer, expert), columns as `frequencies` has them.

    tokens_per_batch, seed: how the trace is cut, see RoutingTrace.batches; jobs: layers at a time. Shares of a layer
    sum to 1.
    """
    import pandas as pd

    def of_layer(index: int) -> pd.DataFrame:
        columns = frequencies(trace.batches(index, tokens_per_batch, seed=seed))
        return pd.DataFrame({"layer": trace.layers[index], "expert": np.arange(trace.experts), **columns})

    return pd.concat(side_by_side(of_layer, len(trace.layers), jobs), ignore_index=True)
