"""Regimes of the loads: which blocks belong to the present one, what is under way, and what may come back.

A regime ends where loads change faster than they usually do. How fast they usually change is learned from the window
itself: the median over its blocks. So no limit must fit noise and drift of a model.

    regimes.add(hotness)
    blocks, change = regimes.outlook()
    loadings = blocks.loadings()
    variance = blocks.variance() + 3 * blocks.alone(loadings)
    loadings = loadings if change is None else np.concatenate([loadings[:-1], change[None]])
    forecast = Forecast(blocks.load(), variance, loadings, noise, drift)
"""

from __future__ import annotations

import numpy as np

from .memory import Memory, switch

# A change is faster than usual by this part, by so many median deviations, and by so much total variation at least.
FASTER, DEVIATIONS, LEAST_CHANGE = 0.4, 5.0, 0.01
# Loads are compared over PAIR blocks, which begin APART - PAIR blocks apart.
PAIR, APART = 2, 6
# How uncertain the end of a change is, in units of what has changed: when it has come to rest, and when it still rises.
AT_REST, RISING = 0.18, 0.6
# Likeness of blocks falls by e at this total variation; what is unlike keeps this part; blocks that are "now".
LIKENESS, UNLIKE, NOW = 0.1, 0.1, 8
# The old loads come back as far as they explained the new ones, to this power; below the least they do not.
RETURN, LEAST_RETURN = 6, 0.01
SCALE = (0.05, 20.0)
# Blocks that are remembered of all windows: ten windows.
LONGEST = 320


class Regimes:
    """Blocks of all windows, and those of the present regime.

    now: the present regime's blocks, or those of a change that is under way; before: at most a window of blocks of the
    regime before; change: [layer, expert], how far the loads have moved in a change under way, None when there is none;
    explained: for each window but the first, how much of its deviation the windows before had shown.
    """

    def __init__(self, layers: int, experts: int) -> None:
        self.now, self.all = Memory(layers, experts), Memory(layers, experts)
        self.before: Memory | None = None
        self.change: np.ndarray | None = None
        self.rising = 0.0
        self.explained: list[float] = []

    def add(self, hotness: np.ndarray) -> None:
        """Add a window, int [iteration, layer, expert], and say where the present regime begins."""
        new = self.now.add(hotness)
        window = self.now.part(len(self.now.means) - new)
        if len(self.all.means):
            self.explained.append(explained(self.all, window))
        blocks = (np.concatenate(pair) for pair in ((self.all.means, window.means), (self.all.noise, window.noise)))
        self.all = window.of(*(part[-LONGEST:] for part in blocks))
        begun = self._begun(window)
        self.change = None
        if begun is not None:
            begin = len(self.now.means) - new + begun
            self.before = self.now.part(max(0, begin - new), begin)
            self.now.forget(begin)
            self.change, self.rising = changed(self.before, self.now)
        elif at := switch(self.now, new):
            if at > 2 * PAIR:
                self.before = self.now.part(0, at)
            self.now.forget(at)

    def _begun(self, window: Memory) -> int | None:
        """The block of the window with which a change began that goes on until its end."""
        rates = np.array([rate(window, end) for end in range(APART, len(window.means) + 1)])
        if not len(rates):
            return None
        usual = np.median(rates)
        more = max(FASTER * usual, DEVIATIONS * np.median(np.abs(rates - usual)), LEAST_CHANGE)
        run = int(np.argmin((rates > usual + more)[::-1]))
        # Less than half are above the median, so that no run is the whole window.
        return max(len(window.means) - run - PAIR, 1) if run else None

    def outlook(self) -> tuple[Memory, np.ndarray | None]:
        """Blocks to plan from, and the loading of a change under way: [layer, expert], None when there is none.

        Deviations of the regime before are kept, as parts of the present load: experts that rose together still do.
        """
        back = float(np.mean(self.explained)) ** RETURN if self.explained else 0.0
        if back >= LEAST_RETURN and len(self.now.means) < len(self.all.means):
            return self.all.of(self.all.means, self.all.noise, self._likeness(back)), None
        if self.change is not None:
            mean = self.before.load()
            load = np.maximum(mean + self.change, SCALE[0] * mean)
            load /= load.sum(axis=1, keepdims=True)
            moved, noise = self._moved(load)
            return self.before.of(moved, noise), (AT_REST + RISING * self.rising) * self.change
        if self.before is None:
            return self.now, None
        moved, _ = self._moved(self.now.load())
        return self.now.of(np.concatenate([moved, self.now.means]), self.now.noise), None

    def _moved(self, load: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Blocks and noise of the regime before, as if its mean were this load."""
        mean = self.before.load()
        scale = np.clip(load / mean, *SCALE)
        return ((self.before.means - mean) * scale + load).astype(np.float32), self.before.noise * scale

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


def rate(window: Memory, end: int) -> float:
    """How far the loads moved within APART blocks before `end`."""
    return variation(window.part(end - PAIR, end), window.part(end - APART, end - APART + PAIR))


def changed(before: Memory, during: Memory) -> tuple[np.ndarray, float]:
    """How far a change has come, [layer, expert], and whether the change still rises: 0 at rest, 1 as fast as ever.

    All blocks of the change move along one direction, each by its own part, so that all of them tell the direction.
    """
    moved = during.means.astype(np.float64) - before.load()
    parts = np.linspace(1 / len(moved), 1, len(moved))
    for _ in range(8):
        direction = np.tensordot(parts, moved, 1) / (parts @ parts)
        parts = np.maximum((moved * direction).sum(axis=(1, 2)) / (direction**2).sum(), 0)
        parts /= max(parts[-1], 1e-9)
    steps = np.diff(parts)
    return direction, float(np.clip(steps[-1] / max(steps.mean(), 1e-9), 0, 1)) if len(steps) else 1.0


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
