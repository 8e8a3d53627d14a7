"""A trace in memory: checked and hashed once, then served as windows and in expert-major layout."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np

from .errors import OrganizerError
from .par_rows import ParRows

LARGEST_HOTNESS = 2**31 - 1
# Iterations handled at a time. 16 int32 fill a cache line of the transposed layout; larger blocks measured up to
# 2 times slower.
BLOCK = 16


class Readable(Protocol):
    """Values that are not in memory, and can be asked for at any place."""

    shape: tuple[int, ...]
    ndim: int
    dtype: np.dtype

    def read(self, start: int, out: np.ndarray) -> np.ndarray:
        """Read iterations start .. start + len(out) - 1 (from 0) into an int32 array, and return it."""


class Values(Readable, Protocol):
    """Those that are also looked at from the first to the last, before anything is measured: a file's."""

    def pieces(self, seen: Callable[[np.ndarray], object]) -> Iterator[np.ndarray]:
        """All iterations in order, each piece after it was given to `seen`, and valid until the next is asked for."""


class Hotness(Protocol):
    """What the rules ask of a trace, zeros replaced by one: `Trace` has all of it in memory, `ChunkedTrace` a part.

    sha256: hash of the values as stored; whole: whether any iteration may be asked for again at no cost.
    """

    iterations: int
    layers: int
    experts: int
    sha256: str
    whole: bool

    def window(self, start: int, stop: int, out: np.ndarray | None = None) -> np.ndarray:
        """A fresh int32 copy [stop - start, layer, expert] of iterations start .. stop - 1 (from 0)."""

    def spans(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Iterations start .. stop - 1 in parts (first, last + 1), whose stretches are at hand until the next part."""

    def stretch(self, layer: int, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """One layer, integers [expert, iteration], and its sums over experts, int64; valid until the next call."""

    def sums(self, start: int, stop: int) -> np.ndarray:
        """Sums over iterations start .. stop - 1, int64 [layer, expert]."""

    def new_par(self) -> np.ndarray | ParRows:
        """Room for PAR of every iteration and layer."""


class Trace:
    """Hotness of one (model, dataset), zeros replaced by one.

    sha256: hash of the values as stored; iterations, layers, experts: the shape;
    expert_major: int32 or uint16 [layer, expert, iteration]; totals: int64 [layer, iteration], sums over experts.
    """

    whole = True

    def __init__(self, stored: np.ndarray | Values, name: str = "trace", narrow: bool = False) -> None:
        """stored: integers [iteration, layer, expert] as on disk. Raises OrganizerError for anything else.

        narrow: hold the values in two bytes each where all fit, in half of the memory, for those who only measure.
        """
        check_array(stored, name)
        self.iterations, self.layers, self.experts = stored.shape
        self.expert_major = self._room(np.uint16 if narrow else np.int32)
        self.totals = np.empty((self.layers, self.iterations), np.int64)
        self._stored = stored
        digest = start_hash(stored.shape)
        buffer = np.empty((BLOCK, self.layers, self.experts), np.int32)
        first = 0
        for piece in _pieces(stored, digest.update):
            for start in range(0, len(piece), BLOCK):
                block = piece[start : start + BLOCK]
                columns = slice(first, first + len(block))
                largest = check_values(block, first, name)
                if largest > np.iinfo(self.expert_major.dtype).max:
                    before, self.expert_major = self.expert_major, self._room(np.int32)
                    self.expert_major[:, :, :first] = before[:, :, :first]
                lay_out(block, largest, buffer, self.expert_major[:, :, columns], self.totals[:, columns])
                first += len(block)
        self.sha256 = digest.hexdigest()

    def window(self, start: int, stop: int, out: np.ndarray | None = None) -> np.ndarray:
        """A fresh int32 copy [stop - start, layer, expert] of iterations start .. stop - 1 (from 0)."""
        if out is None:
            out = np.empty((stop - start, self.layers, self.experts), np.int32)
        inside = isinstance(self._stored, np.ndarray)
        values = self._stored[start:stop] if inside else self._stored.read(start, out)
        return np.maximum(values, 1, out=out, casting="unsafe")

    def _room(self, kind: type[np.integer]) -> np.ndarray:
        return np.empty((self.layers, self.experts, self.iterations), kind)

    def spans(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """As Hotness.spans: one part."""
        yield start, stop

    def stretch(self, layer: int, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """As Hotness.stretch."""
        return self.expert_major[layer, :, start:stop], self.totals[layer, start:stop]

    def sums(self, start: int, stop: int) -> np.ndarray:
        """As Hotness.sums."""
        if stop - start < BLOCK:
            # In the kernel's layout each value would cost a line of the cache.
            return self.window(start, stop).sum(axis=0, dtype=np.int64)
        return self.expert_major[:, :, start:stop].sum(axis=2, dtype=np.int64)

    def new_par(self) -> np.ndarray:
        """Room for PAR of every iteration and layer, float64 [iteration, layer]."""
        return np.empty((self.iterations, self.layers))


def trace_sha256(stored: np.ndarray) -> str:
    """Hash of a trace's content: sha256 of the line `T,L,E` and the values as little-endian int32, C order."""
    digest = start_hash(stored.shape)
    for first in range(0, len(stored), BLOCK):
        digest.update(np.ascontiguousarray(stored[first : first + BLOCK], dtype="<i4"))
    return digest.hexdigest()


def check_fits(trace: Hotness, name: str, layers: int, experts: int, window: int) -> None:
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


def lay_out(block: np.ndarray, largest: int, buffer: np.ndarray, expert_major: np.ndarray, totals: np.ndarray) -> None:
    """Zeros of a block become ones, and it goes into its columns of the kernel's layout and of the sums over experts.

    largest: of the block's values; buffer: int32, room for as many iterations or more.
    """
    ones = np.maximum(block, 1, out=buffer[: len(block)], casting="unsafe")
    # Cast first: both at once takes longer.
    expert_major[:] = ones.astype(expert_major.dtype, copy=False).transpose(1, 2, 0)
    # Sums of int32 take a quarter of the time, where they cannot overflow.
    kind = np.int32 if max(largest, 1) * block.shape[2] <= LARGEST_HOTNESS else np.int64
    totals[:] = ones.sum(axis=2, dtype=kind).T


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
