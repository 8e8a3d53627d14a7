"""A trace that is too long for memory: read chunk by chunk as the replay goes on, of which the last ones are held."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from .par_rows import ParRows
from .trace import BLOCK, Readable, Values, check_array, check_values, lay_out, start_hash

CHUNK_BYTES = 2**24


class Chunk(NamedTuple):
    """int32 [layer, expert, iteration] and int64 [layer, iteration], as Trace has them of all iterations."""

    expert_major: np.ndarray
    totals: np.ndarray


class ChunkedTrace:
    """As placement.trace.Hotness; holds the chunks of one window and two more, and counts nothing on those before.

    What is asked for going forward is read once. What lies before the chunks that are held is read again, and held only
    where `spans` goes through it.
    """

    whole = False

    def __init__(
        self,
        values: Readable,
        sha256: str,
        window: int,
        new_par: Callable[[int, int], np.ndarray | ParRows],
        chunk: int | None = None,
        pinned: Sequence[tuple[int, int]] = (),
        name: str = "trace",
    ) -> None:
        """values: were checked by `checked_sha256`, or are of a generator that makes no others; sha256: theirs, or what
        a stream is known by; new_par: room for [iteration, layer]; chunk: iterations of one, for CHUNK_BYTES;
        pinned: (start, stop) of which `sums` must not read again once they were passed.
        """
        self.iterations, self.layers, self.experts = values.shape
        self.sha256, self._values, self._new_par, self._name = sha256, values, new_par, name
        self._size = chunk or max(BLOCK, CHUNK_BYTES // (4 * self.layers * self.experts) // BLOCK * BLOCK)
        # A window of any start lies in one chunk more than it fills, and the replay goes on in a further one.
        self._most = -(-window // self._size) + 2
        self._held: dict[int, Chunk] = {}
        self._block = np.empty((BLOCK, self.layers, self.experts), np.int32)
        self._pinned = {ends: np.zeros((self.layers, self.experts), np.int64) for ends in pinned}
        self._passed = 0

    @property
    def held_bytes(self) -> int:
        """What the chunks that are held and the block beside them take."""
        return self._block.nbytes + sum(part.nbytes for chunk in self._held.values() for part in chunk)

    def window(self, start: int, stop: int, out: np.ndarray | None = None) -> np.ndarray:
        """As Hotness.window."""
        if out is None:
            out = np.empty((stop - start, self.layers, self.experts), np.int32)
        for first, last in self._blocks(start, stop):
            part, chunk = out[first - start : last - start], self._held.get(first // self._size)
            if chunk:
                columns = self._columns(first, last)
                part[:] = chunk.expert_major[:, :, columns].transpose(2, 0, 1)
            else:
                np.maximum(self._values.read(first, part), 1, out=part)
        return out

    def spans(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """As Hotness.spans: chunk by chunk."""
        for first, last in self._parts(start, stop):
            self._hold(first // self._size)
            yield first, last

    def stretch(self, layer: int, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """As Hotness.stretch."""
        found = [self._found(layer, first, last) for first, last in self._parts(start, stop)]
        if len(found) == 1:
            return found[0]
        nothing = np.empty((self.experts, 0), np.int32), np.empty(0, np.int64)
        hotness, totals = zip(nothing, *found, strict=True)
        return np.concatenate(hotness, axis=1), np.concatenate(totals)

    def sums(self, start: int, stop: int) -> np.ndarray:
        """As Hotness.sums."""
        if (start, stop) in self._pinned and stop <= self._passed:
            return self._pinned[start, stop]
        sums = np.zeros((self.layers, self.experts), np.int64)
        for first, last in self._parts(start, stop):
            if chunk := self._held.get(first // self._size):
                sums += chunk.expert_major[:, :, self._columns(first, last)].sum(axis=2, dtype=np.int64)
            else:
                sums += sum(self.window(*ends).sum(axis=0, dtype=np.int64) for ends in self._blocks(first, last))
        return sums

    def new_par(self) -> np.ndarray | ParRows:
        """As Hotness.new_par."""
        return self._new_par(self.iterations, self.layers)

    def _found(self, layer: int, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """A stretch inside one chunk, whether that is held or not."""
        if chunk := self._held.get(start // self._size):
            columns = self._columns(start, stop)
            return chunk.expert_major[layer, :, columns], chunk.totals[layer, columns]
        hotness = np.empty((self.experts, stop - start), np.int32)
        for first, last in self._blocks(start, stop):
            hotness[:, first - start : last - start] = self.window(first, last)[:, layer].T
        return hotness, hotness.sum(axis=0, dtype=np.int64)

    def _hold(self, number: int) -> None:
        """Have a chunk at hand, in place of the one that was used longest ago."""
        if chunk := self._held.pop(number, None):
            self._held[number] = chunk
            return
        # Memory is kept: fresh one costs a page fault for every 4 KB.
        place = self._room() if len(self._held) < self._most else self._held.pop(next(iter(self._held)))
        start, stop = number * self._size, min((number + 1) * self._size, self.iterations)
        for first, last in self._blocks(start, stop):
            block, columns = self._values.read(first, self._block[: last - first]), self._columns(first, last)
            largest = check_values(block, first, self._name)
            lay_out(block, largest, self._block, place.expert_major[:, :, columns], place.totals[:, columns])
        self._held[number] = place
        if start == self._passed:
            self._pin(place, start, stop)

    def _pin(self, chunk: Chunk, start: int, stop: int) -> None:
        for (first, last), sums in self._pinned.items():
            inside = slice(max(first - start, 0), max(min(last, stop) - start, 0))
            sums += chunk.expert_major[:, :, inside].sum(axis=2, dtype=np.int64)
        self._passed = stop

    def _room(self) -> Chunk:
        sizes = self.layers, self.experts, min(self._size, self.iterations)
        return Chunk(np.empty(sizes, np.int32), np.empty((sizes[0], sizes[2]), np.int64))

    def _columns(self, first: int, last: int) -> slice:
        start = first // self._size * self._size
        return slice(first - start, last - start)

    def _blocks(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """As _parts, of at most BLOCK iterations."""
        for first, last in self._parts(start, stop):
            yield from ((at, min(at + BLOCK, last)) for at in range(first, last, BLOCK))

    def _parts(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Iterations start .. stop - 1 in parts, each of which lies in one chunk."""
        while start < stop:
            last = min((start // self._size + 1) * self._size, stop)
            yield start, last
            start = last


def checked_sha256(values: Values, name: str) -> str:
    """The hash of a trace's values, each of which was looked at. Raises OrganizerError for what is no trace."""
    check_array(values, name)
    digest, first = start_hash(values.shape), 0
    for piece in values.pieces(digest.update):
        check_values(piece, first, name)
        first += len(piece)
    return digest.hexdigest()
