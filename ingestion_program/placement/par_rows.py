"""PAR of a trace that is too long for memory: what the rules need of the values, and how they go through them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np

# Iterations of PAR in memory at a time: 2 MB of the model with the most layers.
PIECE = 2048


class ParRows(Protocol):
    """PAR [iteration, layer] that lies elsewhere; a slice of iterations is read into a fresh array, or written."""

    shape: tuple[int, int]
    size: int

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice) -> np.ndarray: ...

    def __setitem__(self, rows: slice, values: np.ndarray) -> None: ...


def pieces(par: np.ndarray | ParRows, first: int = 0, last: int | None = None) -> Iterator[np.ndarray]:
    """Iterations first .. last - 1 (from 0) in order: an array in one piece, anything else PIECE at a time."""
    last = len(par) if last is None else last
    size = max(last - first, 1) if isinstance(par, np.ndarray) else PIECE
    for start in range(first, last, size):
        yield par[start : min(start + size, last)]


def iteration_means(par: np.ndarray | ParRows) -> np.ndarray:
    """Mean over the layers, float64 [iteration]."""
    return np.concatenate([piece.mean(axis=1) for piece in pieces(par)])


def layer_means(par: np.ndarray | ParRows) -> np.ndarray:
    """Mean over the iterations, float64 [layer]: to the last digit what numpy gives for one array."""
    if isinstance(par, np.ndarray):
        return par.mean(axis=0)
    if par.shape[1] == 1:
        # A single column is added pairwise, and its means over the layers are its values.
        return iteration_means(par).mean(keepdims=True)
    sums = np.zeros(par.shape[1])
    for piece in pieces(par):
        # Several are added row after row.
        sums = np.add.reduce(np.concatenate([sums[None], piece]), axis=0)
    return sums / len(par)


def ranked(par: np.ndarray | ParRows, ranks: list[int]) -> list[float]:
    """The values of these ranks, 1 for the smallest of all; values that lie elsewhere must not be negative."""
    if isinstance(par, np.ndarray):
        ordered = np.sort(par, axis=None)
        return [float(ordered[rank - 1]) for rank in ranks]
    # Floats from 0 on are ordered as their bits are: 16 bits more are known after each look at all of them.
    known, left = [0] * len(ranks), list(ranks)
    for shift in (48, 32, 16, 0):
        counts = np.zeros((len(ranks), 2**16), np.int64)
        for piece in pieces(par):
            bits = piece.view(np.uint64).ravel() >> np.uint64(shift)
            for number, digits in enumerate(known):
                alike = bits[bits >> np.uint64(16) == np.uint64(digits)] & np.uint64(0xFFFF)
                counts[number] += np.bincount(alike.astype(np.int64), minlength=2**16)
        for number, digits in enumerate(known):
            upto = counts[number].cumsum()
            digit = int(np.searchsorted(upto, left[number]))
            left[number] -= int(upto[digit] - counts[number, digit])
            known[number] = digits << 16 | digit
    return np.array(known, np.uint64).view(np.float64).tolist()
