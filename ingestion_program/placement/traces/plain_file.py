"""A plain trace's file, read piece by piece: a mapped one costs page faults, and stays resident."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from ..errors import OrganizerError

# Iterations read at a time: 4 MB of the largest model, so that the threads meet a hundred times and no more.
PIECE = 64


class PlainFile:
    """The int32 values [iteration, layer, expert] of an opened .npy file, as placement.trace.Values."""

    def __init__(self, path: Path, offset: int, shape: tuple[int, ...], name: str) -> None:
        """offset: of the first value, in bytes; name: for errors. Raises OSError."""
        self.shape, self.ndim, self.dtype = shape, len(shape), np.dtype("<i4")
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._descriptor)
        self._offset, self._name, self._stamp = offset, name, self._look()

    def read(self, start: int, out: np.ndarray) -> np.ndarray:
        """Read iterations start .. start + len(out) - 1 (from 0) into `out`, and return it.

        Raises OrganizerError where the file cannot be read, or was changed since it was opened: the trace's hash is of
        the values that were there before.
        """
        rest = memoryview(out).cast("B")
        try:
            os.lseek(self._descriptor, self._offset + start * out[0].nbytes, os.SEEK_SET)
            while len(rest):
                count = os.readv(self._descriptor, [rest])
                if not count:
                    raise OSError("the file has become shorter")
                rest = rest[count:]
            if self._look() != self._stamp:
                raise OSError("the file was changed")
        except OSError as error:
            raise OrganizerError(
                "the trace cannot be read",
                got=f"{type(error).__name__}: {error}",
                expected="a file that nobody changes during a run",
                next_step="copy the trace again, compare it with its manifest, and repeat the run",
                where=self._name,
            ) from None
        return out

    def _look(self) -> tuple[int, int]:
        status = os.fstat(self._descriptor)
        return status.st_size, status.st_mtime_ns

    def pieces(self, seen: Callable[[np.ndarray], object]) -> Iterator[np.ndarray]:
        """All iterations, at most PIECE at a time; a second thread reads the next piece, and calls `seen` with it.

        A piece is valid until the next is asked for. Raises OrganizerError.
        """
        iterations, *sizes = self.shape
        size = min(PIECE, iterations)
        places = np.empty((2, size, *sizes), np.int32)

        def seen_piece(start: int) -> np.ndarray:
            piece = self.read(start, places[start // size % 2][: iterations - start])
            seen(piece)
            return piece

        if size == iterations:
            yield seen_piece(0)
            return
        with ThreadPoolExecutor(1) as second:
            coming = second.submit(seen_piece, 0)
            for start in range(size, iterations, size):
                piece, coming = coming.result(), second.submit(seen_piece, start)
                yield piece
            yield coming.result()
