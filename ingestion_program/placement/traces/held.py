"""A trace's values that are in memory as a whole, made and hashed piece by piece beside the work on those before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from .sealed import SealedFile

# Iterations of a piece, where nothing else cuts the values.
PIECE = 64


class HeldValues:
    """An array [iteration, layer, expert] of integers as placement.trace.Values."""

    def __init__(
        self, values: np.ndarray, fill: Callable[[int, int], object] | None = None, piece: int = PIECE
    ) -> None:
        """fill: puts iterations first .. last - 1 (from 0) of a piece into the array, by default all are there."""
        self.shape, self.ndim, self.dtype = values.shape, values.ndim, values.dtype
        self._values, self._fill, self._piece = values, fill, piece

    def read(self, start: int, out: np.ndarray) -> np.ndarray:
        """As Values.read, once `pieces` has been gone through."""
        np.copyto(out, self._values[start : start + len(out)], casting="unsafe")
        return out

    def pieces(self, seen: Callable[[np.ndarray], object]) -> Iterator[np.ndarray]:
        """As Values.pieces: a second thread fills them, and calls `seen`; raises what `fill` raises."""
        starts = range(0, len(self._values), self._piece)
        if len(starts) == 1:
            yield self._made(0, seen)
        else:
            second = ThreadPoolExecutor(1)
            try:
                for made in [second.submit(self._made, start, seen) for start in starts]:
                    yield made.result()
            finally:
                second.shutdown(cancel_futures=True)
        # With it go a file, and a key.
        self._fill = None

    def _made(self, start: int, seen: Callable[[np.ndarray], object]) -> np.ndarray:
        piece = self._values[start : start + self._piece]
        if self._fill:
            self._fill(start, start + len(piece))
        seen(np.ascontiguousarray(piece, "<i4"))
        return piece


def decrypted(file: SealedFile) -> HeldValues:
    """The values of a sealed trace, decrypted in the first pass over them, in memory alone."""
    values = np.empty(file.shape, file.dtype)
    size = file.header.chunk_iterations

    def decrypt(first: int, last: int) -> None:
        file.decrypt(first // size, memoryview(values[first:last]).cast("B"))

    return HeldValues(values, decrypt, size)
