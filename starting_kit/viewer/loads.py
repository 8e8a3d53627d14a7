"""What a page shows of a trace and of the balance: means over pieces, in as few bytes as a screen needs."""

from __future__ import annotations

import numpy as np

from placement.trace import Trace

from .pieces import Pieces

# The largest value of a quantised array.
FULL = 65_535


def expert_means(trace: Trace, edges: np.ndarray) -> np.ndarray:
    """Mean hotness of each expert over each piece: float64 [piece, layer, expert], 0 for a piece without iterations.

    edges: int64 [layer, piece + 1], as of Pieces.
    """
    means = np.empty((edges.shape[1] - 1, trace.layers, trace.experts))
    running = np.zeros((trace.experts, trace.iterations + 1), np.int64)
    for layer, cuts in enumerate(edges):
        np.cumsum(trace.expert_major[layer], axis=1, out=running[:, 1:])
        means[:, layer] = (np.diff(running[:, cuts], axis=1) / np.maximum(np.diff(cuts), 1)).T
    return means


def par_means(par: np.ndarray, pieces: Pieces) -> np.ndarray:
    """Mean PAR of each layer over each piece, float64 [piece, layer]: 0 for a piece without iterations.

    par: [iteration, layer].
    """
    running = np.vstack([np.zeros(par.shape[1]), par.cumsum(axis=0)])
    sums = np.diff(np.take_along_axis(running, pieces.edges.T, axis=0), axis=0)
    return sums / np.maximum(pieces.lengths.T, 1)


def curve(par: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """PAR over time: first iterations of at most `most` bins, from 0, int64 [bin], and means, float64 [layer, bin]."""
    starts = np.unique(np.linspace(0, len(par), most, endpoint=False).astype(np.int64))
    sizes = np.diff(np.append(starts, len(par)))
    return starts, (np.add.reduceat(par, starts, axis=0) / sizes[:, None]).T


def quantised(values: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Values 0 .. scale as uint16 0 .. FULL; scales: of one shape with the values, but for axes of length 1."""
    return np.round(values / np.maximum(scales, 1e-300) * FULL).astype("<u2")
