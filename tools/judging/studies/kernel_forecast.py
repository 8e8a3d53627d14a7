"""Kernel memory with forecast: all blocks count by their likeness to now, and what moves is extrapolated.

Idea: where topics switch and return, what was seen before a switch is worth keeping. A block counts by how like it is
to the last NOW blocks, w = exp(-(d / WIDTH)^2). To their mean comes a multiple of the slope, fitted to the case's own
past.

Source: a study of the same planner with another forecast. Candidates, risk and gate are the champion's.

Decided where the study's description was silent:
- The distance d is the root of the mean over layers of squared Hellinger distances, less what the sampling of tokens
  alone gives, times 2 / sqrt(pi): the total variation of two loads whose relative differences are normal.
- A slope is fitted to the mean of the blocks to come, a window of them, or at least LEAST where fewer were seen.
- Forecasts of the past weigh the blocks until then; a block's regime is the mean of all, weighted as at that block.
- Medians of slopes are taken over all blocks until now. Loads below 0 count as 0, and the rest is scaled to sum to 1.
- Rows of the loadings: deviations and past errors count as their means, the slope as one deviation of full weight.
- The noise of single iterations is the mean of the blocks, weighted as the load.
"""

from __future__ import annotations

import numpy as np

from planning.memory import Memory
from planning.risk import Forecast, expected_maximum
from policies.champion.policy import ALONE, NOISE, TOGETHER
from policies.champion.policy import Policy as Champion

NOW, WIDTH, LEAST, COMPONENTS = 8, 0.1, 8, 8
# A slope counts as far as it is above so many medians; it is a deviation of its own above so many.
CALM, STEEP = 0.8, 2.0
ERRORS = 0.1


class Policy(Champion):
    slopes = (4,)  # over so many blocks: the mean of the last ones less that of as many before
    uniform = 0.0  # of the weights, which part is the same for all blocks

    def __init__(self, case):
        super().__init__(case)
        self.memory = Memory(case.layers, case.experts)

    def remember(self, hotness):
        """Add a window; nothing is forgotten."""
        self.ahead = self.memory.add(hotness)

    def hedge(self, blocks):
        """How much of the forecast is the mean of all blocks, with their deviations: 0 .. 1; blocks: [block, value]."""
        return 0.0

    def forecast(self):
        memory = self.memory
        count, shape = len(memory.means), memory.means.shape[1:]
        blocks = memory.means.reshape(count, -1).astype(np.float64)
        like = likeness(memory)
        past, regimes = (weighted(weights, self.uniform) for weights in (np.tril(like), like))
        known = past @ blocks
        steps, errors, steep = self.extrapolate(blocks, known)
        hedge, mean = self.hedge(blocks), blocks.mean(axis=0)
        load = np.maximum((1 - hedge) * (known[-1] + steps) + hedge * mean, 0).reshape(shape)
        # A slope may carry all experts of a layer below 0.
        load = np.where(load.any(axis=1, keepdims=True), load, mean.reshape(shape))
        within, across = blocks - regimes @ blocks, blocks - mean
        rows = [np.sqrt((1 - hedge) / count) * within, np.sqrt(hedge / count) * across]
        loadings = components(np.concatenate([*rows[: 1 + (hedge > 0)], errors, steep])).reshape(-1, *shape)
        spread = ((1 - hedge) * (within**2).mean(axis=0) + hedge * (across**2).mean(axis=0)).reshape(shape)
        alone = np.maximum(spread - (loadings**2).sum(axis=0), 0)
        variance = np.tensordot(past[-1], memory.noise, 1) + ALONE * alone
        noise = NOISE * expected_maximum(self.case.devices)
        return Forecast(load / load.sum(axis=1, keepdims=True), variance, loadings, noise, TOGETHER)

    def extrapolate(self, blocks, known):
        """What is added to the mean known now, and rows of the loadings: past errors, slopes that are steep.

        blocks, known: [block, value], the blocks, and the forecast after each without a slope.
        """
        slopes = np.stack([slope(blocks, width) for width in self.slopes])
        first = 2 * max(self.slopes) - 1
        sizes = np.sqrt((slopes**2).sum(axis=2))
        begins = [min(2 * width, len(blocks)) - 1 for width in self.slopes]
        medians = np.array([[np.median(size[begin:])] for size, begin in zip(sizes, begins, strict=True)])
        parts = np.sqrt(1 - np.minimum(CALM * medians / np.maximum(sizes, np.finfo(float).tiny), 1) ** 2)
        steep = slopes[:, -1][sizes[:, -1] > STEEP * medians[:, 0]]
        times = np.arange(first, len(blocks) - LEAST)
        if not len(times):
            return np.zeros(blocks.shape[1]), np.zeros((0, blocks.shape[1])), steep
        missed = to_come(blocks, times, self.ahead) - known[times]
        fitted = slopes[:, times].reshape(len(slopes), -1)
        beta = np.linalg.lstsq(fitted @ fitted.T, fitted @ missed.ravel(), rcond=None)[0]
        steps = np.einsum("k,kt,ktv->tv", beta, parts, slopes)
        return steps[-1], np.sqrt(ERRORS / len(times)) * (missed - steps[times]), steep


def likeness(memory: Memory) -> np.ndarray:
    """How like each block is to the last NOW blocks at each time: float64 [time, block], 1 for no difference."""
    count, layers, experts = memory.means.shape
    blocks = memory.means.reshape(count, -1).astype(np.float64)
    common = np.sqrt(trailing(blocks, NOW)) @ np.sqrt(blocks).T / layers
    # The root of a share of n tokens has variance 1 / 4n, whatever the share.
    tokens = memory.size * memory.tokens
    sampling = (experts - 1) / 8 * (1 + 1 / np.minimum(np.arange(1, count + 1), NOW)) / tokens
    squared = np.maximum(1 - common - sampling[:, None], 0)
    return np.exp(-4 / np.pi * squared / WIDTH**2)


def weighted(like: np.ndarray, uniform: float) -> np.ndarray:
    """Weights [time, block] that sum to 1 at each time; uniform: which part is shared by all blocks that count."""
    counting = like > 0
    return (1 - uniform) * like / like.sum(axis=1, keepdims=True) + uniform * counting / counting.sum(1, keepdims=True)


def trailing(blocks: np.ndarray, width: int) -> np.ndarray:
    """Mean of each block and those before it, `width` in all or as many as there are: [block, value]."""
    sums = np.concatenate([np.zeros((1, blocks.shape[1])), blocks.cumsum(axis=0)])
    ends = np.arange(1, len(blocks) + 1)
    begins = np.maximum(ends - width, 0)
    return (sums[ends] - sums[begins]) / (ends - begins)[:, None]


def slope(blocks: np.ndarray, width: int) -> np.ndarray:
    """Mean of the last `width` blocks less that of as many before, at each block; 0 where there are too few."""
    means, result = trailing(blocks, width), np.zeros(blocks.shape)
    result[2 * width - 1 :] = means[2 * width - 1 :] - means[width - 1 : len(blocks) - width]
    return result


def to_come(blocks: np.ndarray, times: np.ndarray, ahead: int) -> np.ndarray:
    """Mean of the blocks after each time, `ahead` or as many as there are: [time, value]."""
    sums = np.concatenate([np.zeros((1, blocks.shape[1])), blocks.cumsum(axis=0)])
    ends = np.minimum(times + 1 + ahead, len(blocks))
    return (sums[ends] - sums[times + 1]) / (ends - times - 1)[:, None]


def components(rows: np.ndarray) -> np.ndarray:
    """The COMPONENTS largest components of rows [row, value], at their size: [component, value]."""
    vectors = np.linalg.eigh(rows @ rows.T)[1][:, ::-1][:, :COMPONENTS]
    return vectors.T @ rows
