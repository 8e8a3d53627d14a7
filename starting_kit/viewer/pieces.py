"""The pieces of time that a page steps through: in each of them a layer keeps one table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from placement.replay import Replay


@dataclass(frozen=True)
class Pieces:
    """What the page steps through.

    calls: int64 [piece], the call after which it comes, 0 before the first; edges: int64 [layer, piece + 1], iterations
    from 0: a piece is edges[p] .. edges[p + 1] - 1 of its layer, and may be empty.
    """

    calls: np.ndarray
    edges: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        """Iterations of each piece, int64 [layer, piece]."""
        return np.diff(self.edges, axis=1)


def pieces_of(measured: Replay, most: int) -> Pieces:
    """Cut the time of each layer where its table changed, and each part into about as many pieces as fit its length.

    most: of pieces, where the calls are fewer. A layer that a call left as it was is cut where the redeployment ended.
    """
    iterations = len(measured.par)
    starts, ends = _starts(measured)
    bounds = np.vstack([starts, np.full(measured.case.layers, iterations)])
    counts = np.maximum(np.diff([*ends, iterations]) * most // iterations, 1)
    edges = [np.zeros(measured.case.layers, np.int64)]
    for start, stop, count in zip(bounds, bounds[1:], counts.tolist(), strict=False):
        edges += [start + (stop - start) * piece // count for piece in range(1, count + 1)]
    return Pieces(np.repeat(np.arange(len(counts)), counts), np.array(edges).T)


def _starts(measured: Replay) -> tuple[np.ndarray, list[int]]:
    """Where each layer's table of each call begins to count, int64 [call + 1, layer], and when each call is over."""
    applied: dict[int, list[tuple[int, int]]] = {}
    for application in measured.applications:
        applied.setdefault(application.call, []).append((application.layer, application.iteration))
    starts, ends = [np.zeros(measured.case.layers, np.int64)], [0]
    for number, call in enumerate(measured.calls, 1):
        turns = applied.get(number, [])
        ends.append(turns[-1][1] if turns else call)
        starts.append(np.full(measured.case.layers, ends[-1]))
        for layer, iteration in turns:
            starts[-1][layer] = iteration
    return np.array(starts), ends
