"""What is remembered of the loads: shares of experts in blocks of iterations, and the switch that ends a memory."""

from __future__ import annotations

import numpy as np


class Memory:
    """Blocks of the windows seen so far, oldest first.

    means, noise: float32 [block, layer, expert]: an expert's share of its layer's load, mean over the block, and the
    variance of single iterations within it; weights: how much each block counts, summing to 1, or None when all count
    alike; size: iterations of a block; tokens: mean load of a layer in an iteration of the last window: layer 0's, as
    every layer routes the same tokens.
    """

    def __init__(self, layers: int, experts: int, blocks: int = 32) -> None:
        """blocks: how many a window is cut into, fewer where it has fewer iterations."""
        self.blocks, self.size, self.tokens = blocks, 1, 1.0
        self.means = self.noise = np.zeros((0, layers, experts), np.float32)
        self.weights: np.ndarray | None = None

    def add(self, hotness: np.ndarray) -> int:
        """Add a window, int [iteration, layer, expert]; returns of how many blocks. The oldest odd iterations go."""
        self.size = max(1, len(hotness) // self.blocks)
        self.tokens = float(hotness[:, 0].sum(axis=1).mean())
        means, noise = [self.means], [self.noise]
        for start in range(len(hotness) % self.size, len(hotness), self.size):
            share = hotness[start : start + self.size].astype(np.float32)
            share /= share.sum(axis=2, keepdims=True)
            means.append(share.mean(axis=0)[None])
            noise.append(share.var(axis=0, ddof=min(1, self.size - 1))[None])
        self.means, self.noise = np.concatenate(means), np.concatenate(noise)
        return len(means) - 1

    def forget(self, before: int) -> None:
        """Forget the blocks before this one."""
        self.means, self.noise = self.means[before:], self.noise[before:]

    def load(self) -> np.ndarray:
        """Mean share: float64 [layer, expert]."""
        return self._mean(self.means)

    def variance(self) -> np.ndarray:
        """Variance of a single iteration around its block: float64 [layer, expert]."""
        return self._mean(self.noise)

    def alone(self, loadings: np.ndarray) -> np.ndarray:
        """Variance of a block around the mean that the loadings do not explain: float64 [layer, expert]."""
        whole = self._mean((self.means - self.load()) ** 2)
        return np.maximum(whole - (loadings**2).sum(axis=0), 0)

    def loadings(self, components: int = 8) -> np.ndarray:
        """The largest components of the blocks' deviations from their mean: float64 [component, layer, expert].

        The product of two experts' loadings, summed over components, comes near the covariance of their blocks.
        """
        count = len(self.means)
        weights = np.full(count, 1 / count) if self.weights is None else self.weights
        apart = (self.means - self.load()).reshape(count, -1) * np.sqrt(weights)[:, None]
        _, vectors = np.linalg.eigh(apart @ apart.T)
        largest = vectors[:, ::-1][:, :components].T @ apart
        loadings = np.zeros((components, *self.means.shape[1:]))
        loadings[: len(largest)] = largest.reshape(-1, *self.means.shape[1:])
        return loadings

    def part(self, first: int, last: int | None = None) -> Memory:
        """A memory of the blocks from `first` to before `last`."""
        return self.of(self.means[first:last], self.noise[first:last])

    def of(self, means: np.ndarray, noise: np.ndarray, weights: np.ndarray | None = None) -> Memory:
        """A memory of other blocks of this size."""
        memory = Memory(*self.means.shape[1:], self.blocks)
        memory.means, memory.noise, memory.weights = means, noise, weights
        memory.size, memory.tokens = self.size, self.tokens
        return memory

    def _mean(self, values: np.ndarray) -> np.ndarray:
        """Over the blocks."""
        if self.weights is None:
            return values.mean(axis=0, dtype=np.float64)
        return np.tensordot(self.weights, values.astype(np.float64), 1)


def switch(memory: Memory, new: int, least: float = 0.12, edge: int = 2) -> int:
    """The block before which the loads were others, so that it is better forgotten: 0 for none.

    new: of how many blocks the last window is: a switch is looked for in them, and in half as many before. Compared are
    the means of at most `new` blocks before a split and of all after it, `edge` blocks at least: total variation
    beyond what sampling alone gives, mean over layers. The largest counts, where it exceeds `least`.
    """
    count = len(memory.means)
    sums = np.concatenate([np.zeros((1, *memory.means.shape[1:])), memory.means.cumsum(axis=0, dtype=np.float64)])
    most, where = least, 0
    for split in range(max(edge, count - new - new // 2), count - edge + 1):
        first = max(0, split - new)
        before = (sums[split] - sums[first]) / (split - first)
        after = (sums[count] - sums[split]) / (count - split)
        iterations = memory.size * np.array([split - first, count - split])
        # The mean difference of two counts of mean n is sqrt(2 / pi) of its standard deviation.
        sampling = np.sqrt(2 / np.pi * sums[count] / count * (1 / iterations).sum() / memory.tokens)
        apart = float((np.abs(before - after) - sampling).sum(axis=1).mean() / 2)
        if apart > most:
            most, where = apart, split
    return where
