"""What is remembered of the loads: shares of experts in blocks of iterations, since the last switch."""

from __future__ import annotations

import numpy as np


class Memory:
    """Blocks of the windows seen so far.

    means: float32 [block, layer, expert], an expert's share of its layer's load, mean over a block; noise: float32
    [block, layer, expert], the variance of single iterations within a block; tokens: mean load of a layer's iteration.
    """

    def __init__(self, layers: int, experts: int, blocks: int = 32) -> None:
        self.blocks = blocks
        self.means = self.noise = np.zeros((0, layers, experts), np.float32)
        self.tokens = 1.0

    def add(self, hotness: np.ndarray) -> int:
        """Add a window, int [iteration, layer, expert], as `blocks` blocks or fewer; returns how many those are."""
        size = max(1, len(hotness) // self.blocks)
        late = hotness[len(hotness) % size :]
        means, noise = [], []
        for start in range(0, len(late), size):
            piece = late[start : start + size].astype(np.float32)
            piece /= piece.sum(axis=2, keepdims=True)
            means.append(piece.mean(axis=0))
            noise.append(piece.var(axis=0, ddof=1 if size > 1 else 0))
        self.tokens = float(hotness[:, 0].sum(axis=1).mean())
        self.size = size
        self.means, self.noise = np.concatenate([self.means, means]), np.concatenate([self.noise, noise])
        return len(means)

    def forget(self, before: int) -> None:
        """Forget the blocks before this one."""
        self.means, self.noise = self.means[before:], self.noise[before:]

    def load(self) -> np.ndarray:
        """Mean share: float64 [layer, expert]."""
        return self.means.mean(axis=0, dtype=np.float64)

    def variance(self) -> np.ndarray:
        """Variance of a single iteration around its block: float64 [layer, expert]."""
        return self.noise.mean(axis=0, dtype=np.float64)

    def loadings(self, components: int = 8) -> np.ndarray:
        """The largest components of the blocks' deviations from their mean: float64 [component, layer, expert].

        Their products, summed over components, come near the covariance of the blocks, between layers as well.
        """
        apart = (self.means - self.means.mean(axis=0)).reshape(len(self.means), -1)
        gram = apart.astype(np.float64) @ apart.T.astype(np.float64) / max(len(apart), 1)
        value, vector = np.linalg.eigh(gram)
        largest = vector[:, ::-1][:, :components]
        loadings = largest.T @ apart / np.sqrt(max(len(apart), 1))
        result = np.zeros((components, *self.means.shape[1:]))
        result[: len(loadings)] = loadings.reshape(len(loadings), *self.means.shape[1:])
        return result


def switch(memory: Memory, new: int, least: float = 0.17, edge: int = 2) -> int:
    """The block before which everything is to be forgotten: 0 for none.

    new: how many blocks the last window has. Between the means before and after each split, total variation beyond
    what sampling alone gives, mean over layers; where the largest exceeds `least`, the loads switched there.
    """
    count = len(memory.means)
    sums = memory.means.cumsum(axis=0, dtype=np.float64)
    best, where = least, 0
    for split in range(max(edge, count - new - new // 2), count - edge + 1):
        first = max(0, split - new)
        before = (sums[split - 1] - (sums[first - 1] if first else 0)) / (split - first)
        after = (sums[-1] - sums[split - 1]) / (count - split)
        mean = sums[-1] / count
        pieces = (1 / (split - first) + 1 / (count - split)) / (memory.size * memory.tokens)
        sampling = np.sqrt(2 / np.pi * mean * pieces).sum(axis=1)
        apart = float((np.abs(before - after).sum(axis=1) - sampling).mean() / 2)
        if apart > best:
            best, where = apart, split
    return where
