"""A trace: checked and hashed once, then served as windows and in expert-major layout."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np

from .errors import OrganizerError

LARGEST_HOTNESS = 2**31 - 1
# Iterations handled at a time. 16 int32 fill a cache line of the transposed layout; larger blocks measured up to
# 2 times slower.
BLOCK = 16


class Values(Protocol):
    """Values that are not in memory: what `Trace` needs of them."""

    shape: tuple[int, ...]
    ndim: int
    dtype: np.dtype

    def read(self, start: int, out: np.ndarray) -> np.ndarray:
        """Read iterations start .. start + len(out) - 1 (from 0) into an int32 array, and return it."""

    def pieces(self, seen: Callable[[np.ndarray], object]) -> Iterator[np.ndarray]:
        """All iterations in order, each piece after it was given to `seen`, and valid until the next is asked for."""


class Trace:
    """Hotness of one (model, dataset), zeros replaced by one.

    sha256: hash of the values as stored; iterations, layers, experts: the shape;
    expert_major: int32 [layer, expert, iteration]; totals: int64 [layer, iteration], sums over experts.
    """

    def __init__(self, stored: np.ndarray | Values, name: str = "trace") -> None:
        """stored: integers [iteration, layer, expert] as on disk. Raises OrganizerError for anything else."""
        check_array(stored, name)
        self.iterations, self.layers, self.experts = stored.shape
        self.expert_major = np.empty((self.layers, self.experts, self.iterations), np.int32)
        self.totals = np.empty((self.layers, self.iterations), np.int64)
        self._stored = stored
        digest = start_hash(stored.shape)
        buffer = np.empty((BLOCK, self.layers, self.experts), np.int32)
        first = 0
        for piece in _pieces(stored, digest.update):
            for start in range(0, len(piece), BLOCK):
                block = piece[start : start + BLOCK]
                largest = check_values(block, first, name)
                columns = slice(first, first + len(block))
                first += len(block)
                ones = np.maximum(block, 1, out=buffer[: len(block)], casting="unsafe")
                self.expert_major[:, :, columns] = ones.transpose(1, 2, 0)
                # Sums of int32 take a quarter of the time, where they cannot overflow.
                kind = np.int32 if max(largest, 1) * self.experts <= LARGEST_HOTNESS else np.int64
                self.totals[:, columns] = ones.sum(axis=2, dtype=kind).T
        self.sha256 = digest.hexdigest()

    def window(self, start: int, stop: int, out: np.ndarray | None = None) -> np.ndarray:
        """A fresh int32 copy [stop - start, layer, expert] of iterations start .. stop - 1 (from 0)."""
        if out is None:
            out = np.empty((stop - start, self.layers, self.experts), np.int32)
        inside = isinstance(self._stored, np.ndarray)
        values = self._stored[start:stop] if inside else self._stored.read(start, out)
        return np.maximum(values, 1, out=out, casting="unsafe")


def trace_sha256(stored: np.ndarray) -> str:
    """Hash of a trace's content: sha256 of the line `T,L,E` and the values as little-endian int32, C order."""
    digest = start_hash(stored.shape)
    for first in range(0, len(stored), BLOCK):
        digest.update(np.ascontiguousarray(stored[first : first + BLOCK], dtype="<i4"))
    return digest.hexdigest()


def check_fits(trace: Trace, name: str, layers: int, experts: int, window: int) -> None:
    """Raise OrganizerError when the trace has another shape than its model, or is too short for one call."""
    if (trace.layers, trace.experts) != (layers, experts):
        raise OrganizerError(
            "the trace does not fit its model",
            got=f"{trace.layers} layers, {trace.experts} experts",
            expected=f"{layers} layers, {experts} experts",
            next_step="use the trace of this model, or correct the grid's models",
            where=name,
        )
    if trace.iterations < window + 2:
        raise OrganizerError(
            "the trace is too short for the window",
            got=f"{trace.iterations} iterations",
            expected=f"at least window + 2 = {window + 2}",
            next_step="use a longer trace or a smaller window",
            where=name,
        )


def check_array(stored: Any, name: str) -> None:
    """Raise OrganizerError unless ndim, shape and dtype are those of a trace."""
    if stored.ndim != 3 or 0 in stored.shape:
        raise OrganizerError(
            "the trace has the wrong shape",
            got=str(list(stored.shape)),
            expected="[iteration, layer, expert]",
            next_step="convert the trace",
            where=name,
        )
    if stored.dtype.kind not in "iu":
        raise OrganizerError(
            "the trace's values are not integers",
            got=f"dtype {stored.dtype}",
            expected="an integer dtype, int32 preferred",
            next_step="convert the trace from its token counts",
            where=name,
        )


def check_values(block: np.ndarray, first: int, name: str) -> int:
    """The largest value of a block that begins at iteration `first` (from 0); OrganizerError if one is out of range."""
    # Read as unsigned, a negative value is larger than all others: one look instead of two.
    largest = int(block.view(block.dtype.str.replace("i", "u")).max())
    if largest <= min(LARGEST_HOTNESS, np.iinfo(block.dtype).max):
        return largest
    iteration, layer, expert = np.argwhere((block < 0) | (block > LARGEST_HOTNESS))[0]
    raise OrganizerError(
        "a hotness is out of range",
        got=f"{block[iteration, layer, expert]} at iteration {first + iteration + 1}, layer {layer}, expert {expert}",
        expected=f"0 .. {LARGEST_HOTNESS}",
        next_step="record or convert the trace again",
        where=name,
    )


def start_hash(shape: tuple[int, ...]) -> Any:
    """The trace hash before any value was added."""
    return hashlib.sha256(",".join(map(str, shape)).encode("ascii") + b"\n")


def _pieces(stored: np.ndarray | Values, seen: Callable[[np.ndarray], object]) -> Iterator[np.ndarray]:
    if not isinstance(stored, np.ndarray):
        yield from stored.pieces(seen)
        return
    for first in range(0, len(stored), BLOCK):
        seen(np.ascontiguousarray(stored[first : first + BLOCK], dtype="<i4"))
        yield stored[first : first + BLOCK]
