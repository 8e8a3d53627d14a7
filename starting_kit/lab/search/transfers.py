"""Dispatch and combine of every token, and of every batch, when two replicas change places.

Of each batch the slowest tokens are kept at hand: one that a swap does not touch stays as slow as it is, so that most
swaps look at the tokens of the two replicas alone, and a swap that is made changes what concerns those tokens.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ..serving.cost import Preset, transfers
from ..serving.replicas import Replicas
from ..serving.torus import Torus
from ..traces.batches import Batches
from .token_counts import TokenCounts

# Tokens of a batch that bound what a swap can gain.
SLOW = 4
# For every set of the SLOW places that a swap touches, as bits: the first place that is not in it.
FREE = np.array([next(p for p in range(SLOW + 1) if not bits >> p & 1) for bits in range(1 << SLOW)])


class Transfers:
    """The times of tokens where their replicas lie now.

    times: us, float64 [2, batch], of the slowest tokens: dispatch, then combine; tokens_of: the tokens of each replica,
    ascending. Where a method takes replicas, -1 stands for an empty slot.
    """

    def __init__(self, batches: Batches, replicas: Replicas, routed: np.ndarray, torus: Torus, preset: Preset) -> None:
        self._batches, self._torus, self._preset, self._routed = batches, torus, preset, routed
        self._list_tokens(len(replicas.slot))
        self._counts = TokenCounts(batches, routed, torus, preset, replicas.device)
        self._least = self._counts.least
        self._time = np.full((2, batches.count * self._width), -np.inf)
        self._time_again(np.arange(len(routed)))
        self._slow_token = np.zeros((2 * batches.count, SLOW), np.int64)
        self._slow_times = np.full((2 * batches.count, SLOW + 1), self._least)
        # Which of a row's slow places each replica serves, as bits; the last line stands for an empty slot.
        self._serves = np.zeros((len(replicas.slot) + 1, 2 * batches.count), np.uint8)
        self._rank(np.arange(2 * batches.count))

    @property
    def times(self) -> np.ndarray:
        """Dispatch, then combine of each batch in us: float64 [2, batch]."""
        return self._slow_times[:, 0].reshape(2, -1)

    def untouched(self, *replicas: int) -> tuple[np.ndarray, np.ndarray]:
        """Times of each batch's slowest token that none of the replicas serves, [2, batch], and its place, [2 * batch].

        A lower bound of what remains when they move. Where all of the slow tokens are touched, the place is SLOW and
        the time is the least there is.
        """
        place = FREE.take(np.bitwise_or.reduce(self._serves[list(replicas)], axis=0))
        return self._slow_times[self._rows, place].reshape(2, -1), place

    def after(
        self, leaving: int, coming: int, one: int, other: int, bound: tuple[np.ndarray, np.ndarray]
    ) -> np.ndarray:
        """Dispatch and combine of each batch after an exchange: float64 [2, batch].

        leaving: the replica that goes from device `one` to device `other`; coming: the one that goes back; bound: what
        `untouched` says of the two.
        """
        sides = [(r, a, b) for r, a, b in ((leaving, one, other), (coming, other, one)) if r >= 0]
        values = [
            self._counts.changed(self.tokens_of[replica], self._origins[replica], a, b) for replica, a, b in sides
        ]
        if len(sides) == 2:
            self._keep_both(leaving, coming, *values)
        after, place = bound
        for (replica, _, _), times in zip(sides, values, strict=True):
            self._raise(after, replica, times)
        self._add_rest(after, place, [replica for replica, _, _ in sides])
        return after

    def served_elsewhere(self, replicas: list[int], tokens: np.ndarray, device: np.ndarray) -> np.ndarray:
        """Dispatch and combine of each batch, [2, batch], where tokens are served by other devices.

        tokens: ascending, all those of these replicas; device: [token, choice], where each choice is then served.
        """
        after, place = self.untouched(*replicas)
        part = Batches(
            self._batches.experts,
            *(a[tokens] for a in (self._batches.choices, self._batches.origins)),
            np.array([0, len(tokens)]),
        )
        times = np.stack(transfers(part, device, self._torus, self._preset))
        batches, starts = np.unique(self._batches.batch_of_token[tokens], return_index=True)
        after[:, batches] = np.maximum(after[:, batches], np.maximum.reduceat(times, starts, axis=1))
        self._add_rest(after, place, replicas)
        return after

    def move(self, moved: list[tuple[int, int, int]], device: np.ndarray) -> None:
        """Keep a swap. moved: (replica, from device, to device); device: [replica], where every replica lies now."""
        touched = np.zeros(2 * self._batches.count, bool)
        floor = self._slow_times[:, SLOW - 1].copy()
        device = device.copy()
        device[[replica for replica, _, _ in moved]] = [source for _, source, _ in moved]
        for replica, source, target in moved:
            touched |= self._serves[replica] > 0
            device[replica] = target
            self._counts.move(self.tokens_of[replica], self._origins[replica], source, target, device)
        for replica, _, _ in moved:
            largest = np.full((2, self._batches.count), -np.inf)
            self._raise(largest, replica, self._time_again(self.tokens_of[replica]))
            touched |= largest.ravel() > floor
        self._rank(np.flatnonzero(touched))

    def _raise(self, result: np.ndarray, replica: int, times: np.ndarray) -> None:
        """Raise each batch's entry to the largest of the times of a replica's tokens: [2, batch], [2, token]."""
        if times.shape[1]:
            batches = self._batches_of[replica]
            largest = np.maximum.reduceat(times, self._starts_of[replica], axis=1)
            result[:, batches] = np.maximum(result[:, batches], largest)

    def _keep_both(self, one: int, other: int, values: np.ndarray, other_values: np.ndarray) -> None:
        """A token that both replicas serve has one choice on each device before and after: its times stay."""
        self._mark[self.tokens_of[one]] = True
        both = np.flatnonzero(self._mark.take(self.tokens_of[other]))
        self._mark[self.tokens_of[one]] = False
        if len(both):
            tokens = self.tokens_of[other][both]
            at = np.searchsorted(self.tokens_of[one], tokens)
            values[:, at] = other_values[:, both] = self._time[:, self._place[tokens]]

    def _add_rest(self, after: np.ndarray, place: np.ndarray, replicas: list[int]) -> None:
        """Raise the entries of batches whose slow tokens are all touched to the slowest of the others."""
        for row in np.flatnonzero(place == SLOW):
            part, batch = divmod(int(row), self._batches.count)
            after[part, batch] = max(after[part, batch], self._rest(row, batch, replicas))

    def _rest(self, row: int, batch: int, replicas: list[int]) -> float:
        """The slowest token of a batch that none of the replicas serves."""
        begin, end = self._batches.starts[batch : batch + 2]
        free = np.ones(end - begin, bool)
        for replica in replicas:
            tokens = self.tokens_of[replica]
            free[tokens[np.searchsorted(tokens, begin) : np.searchsorted(tokens, end)] - begin] = False
        times = self._time.reshape(2 * self._batches.count, -1)[row, : end - begin]
        return float(times[free].max(initial=self._least))

    def _list_tokens(self, replicas: int) -> None:
        """The tokens of each replica, ascending, and where its batches begin among them."""
        flat = self._routed.ravel()
        order = np.argsort(flat, kind="stable")
        bounds = np.searchsorted(flat[order], np.arange(replicas + 1))
        tokens = order // self._routed.shape[1]
        self.tokens_of = [tokens[a:b] for a, b in pairwise(bounds)]
        batch_of, starts = self._batches.batch_of_token, self._batches.starts
        firsts = [np.unique(batch_of[tokens], return_index=True) for tokens in self.tokens_of]
        self._batches_of, self._starts_of = [batches for batches, _ in firsts], [starts for _, starts in firsts]
        self._mark = np.zeros(len(self._routed), bool)
        self._origins = [self._batches.origins[tokens] for tokens in self.tokens_of]
        # Batches have a row each in the array of times, which is as wide as the longest.
        self._width = int(np.diff(starts).max())
        self._place = np.arange(len(self._routed)) - starts[batch_of] + batch_of * self._width
        self._rows = np.arange(2 * self._batches.count)

    def _time_again(self, tokens: np.ndarray) -> np.ndarray:
        """Look up the times of tokens from what was counted: [2, token]."""
        times = self._counts.times(tokens)
        self._time[:, self._place[tokens]] = times
        return times

    def _rank(self, rows: np.ndarray) -> None:
        """Find the slowest tokens of these rows again."""
        times = self._time.reshape(2 * self._batches.count, -1)[rows]
        for token in self._slow_token[rows].T:
            for replica in self._routed[token].T:
                self._serves[replica, rows] = 0
        batch, at = rows % self._batches.count, np.arange(len(rows))
        for place in range(SLOW):
            slowest = times.argmax(axis=1)
            value, token = times[at, slowest], slowest + self._batches.starts[batch]
            if place:
                # A batch of fewer tokens has its last one several times.
                gone = np.isneginf(value)
                value = np.where(gone, self._slow_times[rows, place - 1], value)
                token = np.where(gone, self._slow_token[rows, place - 1], token)
            self._slow_times[rows, place], self._slow_token[rows, place] = value, token
            times[at, slowest] = -np.inf
            for replica in self._routed[token].T:
                self._serves[replica, rows] |= 1 << place
