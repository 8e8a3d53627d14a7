"""Kernel memory with return hedge: as kernel_forecast, with two slopes, and hedged towards all that was seen.

Idea: the next switch leads to what was seen before where topics return, and to something new where they do not. Which
of both a case is can be seen: R is the share of what later blocks deviate that the components of the blocks before
explain. The mean of all blocks and the deviations from it count R^POWER, the kernel's forecast what is left.

Source: a study of the same planner with another forecast, the one of kernel_forecast with these changes. Candidates,
risk and gate are the champion's.

Decided where the study's description was silent:
- The second slope is over 8 blocks; both are fitted together, and each is damped by its own median.
- The 3 % uniform are of the weights: they are shared by all blocks that count.
- A stretch is 16 blocks. Its deviations are from the mean of all blocks before it; explained is what lies in the 8
  largest components of those. R is the sum explained by the sum of squares, over all stretches but the first.
"""

from __future__ import annotations

import numpy as np

from judging.studies.kernel_forecast import Policy as KernelForecast
from judging.studies.kernel_forecast import components

STRETCH, POWER = 16, 8


class Policy(KernelForecast):
    slopes = (4, 8)
    uniform = 0.03

    def __init__(self, case):
        super().__init__(case)
        self.begin, self.explained, self.whole = STRETCH, 0.0, 0.0

    def hedge(self, blocks):
        # Blocks seen stay as they are, so each stretch is looked at once.
        for begin in range(self.begin, len(blocks) - STRETCH + 1, STRETCH):
            explained, whole = explained_by(blocks[:begin], blocks[begin : begin + STRETCH])
            self.explained, self.whole, self.begin = self.explained + explained, self.whole + whole, begin + STRETCH
        # Rounding may explain a last digit more than there is.
        return min(self.explained / self.whole, 1.0) ** POWER if self.whole else 0.0


def explained_by(before: np.ndarray, later: np.ndarray) -> tuple[float, float]:
    """Squares of the later blocks' deviations from the mean before, in its largest components, and in all.

    Both: [block, value].
    """
    mean = before.mean(axis=0)
    found = components(before - mean)
    sizes = np.linalg.norm(found, axis=1)
    # What is left of rounding has no direction.
    directions = found[sizes > 1e-9 * sizes.max()] / sizes[sizes > 1e-9 * sizes.max(), None]
    apart = later - mean
    return float(((apart @ directions.T) ** 2).sum()), float((apart**2).sum())
