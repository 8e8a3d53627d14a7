"""Tokens of one layer in batches: what a router and the cost model work on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

# Tokens counted at a time.
GROUP = 1 << 17


@dataclass(frozen=True, eq=False)
class Batches:
    """The experts that tokens chose, batch after batch.

    experts: number of experts; choices: int32 [token, choice] -> expert, no expert twice in a token; origins: int32
    [token], the row of the grid that a token comes from; starts: int64 [batch + 1], where each batch begins, the last
    one the number of tokens. Raises ValueError for arrays that do not fit together.
    """

    experts: int
    choices: np.ndarray
    origins: np.ndarray
    starts: np.ndarray

    def __post_init__(self) -> None:
        tokens = len(self.choices)
        if self.choices.ndim != 2 or self.origins.shape != (tokens,):
            raise ValueError(
                f"choices {list(self.choices.shape)} and origins {list(self.origins.shape)} do not fit; "
                "expected [token, choice] and [token]"
            )
        if len(self.starts) < 2 or self.starts[0] != 0 or self.starts[-1] != tokens or (np.diff(self.starts) < 1).any():
            raise ValueError(f"starts of batches must rise from 0 to the {tokens} tokens, and no batch be empty")
        # Arithmetic on the small dtypes of files would wrap.
        object.__setattr__(self, "choices", self.choices.astype(np.int32, copy=False))
        if self.choices.min() < 0 or self.choices.max() >= self.experts:
            raise ValueError(f"an expert is outside 0 .. {self.experts - 1}")

    @property
    def count(self) -> int:
        """How many batches there are."""
        return len(self.starts) - 1

    @cached_property
    def batch_of_token(self) -> np.ndarray:
        """The batch of each token: int64 [token]."""
        return np.repeat(np.arange(self.count), np.diff(self.starts))

    @cached_property
    def load(self) -> np.ndarray:
        """Tokens of each expert in each batch: int64 [batch, expert]."""
        return np.concatenate(
            [np.bincount(keys, minlength=batches * self.experts).reshape(batches, -1) for batches, keys in self._keys()]
        )

    @cached_property
    def occurrence(self) -> np.ndarray:
        """How often a choice's expert was chosen before it in its batch, token by token: int64 [token, choice]."""
        result, done = np.empty(self.choices.size, np.int64), 0
        for batches, keys in self._keys():
            order = np.argsort(keys, kind="stable")
            load = np.bincount(keys, minlength=batches * self.experts)
            first = np.repeat(np.cumsum(load) - load, load)
            result[done + order] = np.arange(order.size) - first
            done += order.size
        return result.reshape(self.choices.shape)

    def _keys(self) -> Iterator[tuple[int, np.ndarray]]:
        """Groups of batches, how many and their choices' batch and expert in one number: int64 [choice].

        A group at a time needs little memory beside the result.
        """
        first = 0
        while first < self.count:
            stop = int(np.searchsorted(self.starts, self.starts[first] + GROUP, "right")) - 1
            stop = min(max(stop, first + 1), self.count)
            batch = np.repeat(np.arange(stop - first), np.diff(self.starts[first : stop + 1]))
            tokens = slice(self.starts[first], self.starts[stop])
            yield stop - first, (batch[:, None] * self.experts + self.choices[tokens]).ravel()
            first = stop

    def select(self, first: int, stop: int) -> Batches:
        """The batches first .. stop - 1."""
        tokens = slice(self.starts[first], self.starts[stop])
        starts = self.starts[first : stop + 1] - self.starts[first]
        return Batches(self.experts, self.choices[tokens], self.origins[tokens], starts)

    def with_shared(self) -> Batches:
        """The same with one expert more, the shared one, as the last choice of every token; its id is `experts`."""
        shared = np.full((len(self.choices), 1), self.experts, self.choices.dtype)
        return Batches(self.experts + 1, np.hstack([self.choices, shared]), self.origins, self.starts)


def stacked(choices: np.ndarray, origins: np.ndarray, experts: int) -> Batches:
    """Batches of one size. choices: integers [batch, token, choice]; origins: integers [batch, token]."""
    count, tokens, k = choices.shape
    flat = np.ascontiguousarray(choices.reshape(-1, k), np.int32)
    return Batches(experts, flat, origins.reshape(-1).astype(np.int32), np.arange(count + 1) * tokens)
