"""Totals of layers: a token has as many choices in each, so that a layer with others lacks some or has too many."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .iterations import shortened
from .recording import ranges


def uneven_layers(hotness: np.ndarray, numbers: np.ndarray) -> Iterator[str]:
    """The note on layers whose totals differ from those of the others, with the figure.

    hotness: int32 [iteration, layer, expert]; numbers: int [layer], the layers' names. None where every layer differs
    at times and most iterations do, as where an engine drops tokens above an expert's capacity.
    """
    totals = hotness.sum(axis=2, dtype=np.int64)
    usual = np.array([_usual(row) for row in totals])
    # A layer without a token in an iteration is told of otherwise.
    differs = (totals != usual[:, None]) & (totals > 0)
    uneven = differs.any(axis=1)
    if not uneven.any() or (differs.any(axis=0)[totals.any(axis=0)].all() and 2 * uneven.sum() > len(totals)):
        return
    layers = np.flatnonzero(differs.any(axis=0))
    # Of the layer that differs most, in the iterations in which it does.
    shares = [totals[differs[:, n], n].sum() / usual[differs[:, n]].sum() - 1 for n in layers]
    worst = int(np.argmax(np.abs(shares)))
    word = "fewer" if shares[worst] < 0 else "more"
    yield (
        f"in {int(uneven.sum())} of {len(totals)} iterations the tokens of layer{'s' * (len(layers) > 1)}"
        f" {shortened(ranges(numbers[layers].tolist()))} add up to others than in the other layers: layer"
        f" {numbers[layers[worst]]} has {abs(shares[worst]):.1%} {word} there, as where a rank's counts of it are"
        " missing or there twice, or it is a draft's: convert the counts of all ranks, each once"
    )


def _usual(totals: np.ndarray) -> int:
    """The total that most layers with tokens have; of two as common ones the larger."""
    values, times = np.unique(totals[totals > 0], return_counts=True)
    return int(values[times == times.max()][-1]) if len(values) else 0
