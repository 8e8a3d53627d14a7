"""Regimes of the loads: which blocks belong to the present one, and what may come back.

regimes.add(hotness)
blocks = regimes.outlook()
loadings = blocks.loadings()
variance = blocks.variance() + 3 * blocks.alone(loadings)
forecast = Forecast(blocks.load(), variance, loadings, noise, drift)
"""

from __future__ import annotations

import numpy as np

from .memory import Memory, switch

# The first blocks of a memory are no regime.
LEAST_BLOCKS = 4
# Likeness of blocks falls by e at this total variation; what is unlike keeps this part; blocks that are "now".
LIKENESS, UNLIKE, NOW = 0.1, 0.1, 8
# The old loads come back as far as they explained the new ones, to this power; below the least they do not.
RETURN, LEAST_RETURN = 6, 0.01
SCALE = (0.05, 20.0)
# Blocks that are remembered of all windows: ten windows.
LONGEST = 320


class Regimes:
    """Blocks of all windows, and those of the present regime.

    now: the present regime's blocks; before: those of the regime before, None when there is none;
    explained: for each window but the first, how much of its deviation the windows before had shown.
    """

    def __init__(self, layers: int, experts: int) -> None:
        self.now, self.all = Memory(layers, experts), Memory(layers, experts)
        self.before: Memory | None = None
        self.explained: list[float] = []

    def add(self, hotness: np.ndarray) -> None:
        """Add a window, int [iteration, layer, expert], and say where the present regime begins."""
        new = self.now.add(hotness)
        window = self.now.part(len(self.now.means) - new)
        if len(self.all.means):
            self.explained.append(explained(self.all, window))
        blocks = (np.concatenate(pair) for pair in ((self.all.means, window.means), (self.all.noise, window.noise)))
        self.all = window.of(*(part[-LONGEST:] for part in blocks))
        if at := switch(self.now, new):
            if at > LEAST_BLOCKS:
                self.before = self.now.part(0, at)
            self.now.forget(at)

    def outlook(self) -> Memory:
        """Blocks to plan from.

        Deviations of the regime before are kept, as parts of the present load: experts that rose together still do.
        """
        back = float(np.mean(self.explained)) ** RETURN if self.explained else 0.0
        if back >= LEAST_RETURN and len(self.now.means) < len(self.all.means):
            return self.all.of(self.all.means, self.all.noise, self._likeness(back))
        if self.before is None:
            return self.now
        mean, load = self.before.load(), self.now.load()
        moved = ((self.before.means - mean) * np.clip(load / mean, *SCALE) + load).astype(np.float32)
        return self.now.of(np.concatenate([moved, self.now.means]), self.now.noise)

    def _likeness(self, back: float) -> np.ndarray:
        """Weights of all blocks: those of the present regime alike, and a part `back` by likeness to now."""
        count = len(self.all.means)
        last = self.all.part(max(0, count - NOW))
        apart = [variation(self.all.part(max(0, block - 1), block + 2), last) for block in range(count)]
        like = np.exp(-((np.maximum(apart, 0) / LIKENESS) ** 2)) + UNLIKE
        weights = back * like / like.sum()
        present = min(len(self.now.means), count)
        weights[count - present :] += (1 - back) / present
        return weights


def variation(first: Memory, second: Memory) -> float:
    """Total variation between two memories' loads beyond what sampling alone gives, mean over layers."""
    loads = first.load(), second.load()
    iterations = first.size * np.array([len(first.means), len(second.means)])
    sampling = np.sqrt(2 / np.pi * (loads[0] + loads[1]) / 2 * (1 / iterations).sum() / first.tokens)
    return float((np.abs(loads[0] - loads[1]) - sampling).sum(axis=1).mean() / 2)


def explained(old: Memory, window: Memory, components: int = 8, blocks: int = 4) -> float:
    """Which part of a window's deviations from the old mean the old blocks' components had shown: 0 to 1.

    The window's blocks are taken four by four; what single iterations' noise gives is left out.
    """
    mean, count = old.load(), len(window.means) // blocks
    if not count:
        return 0.0
    apart = (old.means - mean).reshape(len(old.means), -1)
    means = window.means[: count * blocks].reshape(count, blocks, -1).mean(axis=1) - mean.ravel()
    sizes, vectors = np.linalg.eigh(apart @ apart.T)
    axes = (vectors[:, ::-1][:, :components] / np.sqrt(np.maximum(sizes[::-1][:components], 1e-30))).T @ apart
    noise = count * float(window.variance().sum()) / (window.size * blocks)
    shown, whole = float(((means @ axes.T) ** 2).sum()), float((means**2).sum())
    return float(np.clip(shown / max(whole - noise, 1e-12), 0, 1))
