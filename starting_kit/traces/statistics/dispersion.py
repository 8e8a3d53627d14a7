"""How much more counts vary between iterations than independent draws of tokens would."""

from __future__ import annotations

import numpy as np


def over_dispersion(hotness: np.ndarray, block: int) -> np.ndarray:
    """Variance of the counts over that of independent draws, float64 [layer]: 1 for multinomial counts.

    hotness: integers [iteration, layer, expert]; block: iterations, at least 2. Within every complete block the shares
    are taken as constant, so drift that is slow against a block does not count. With n_i the counts of iteration i in
    a layer and p the block's shares, over the experts with p_e > 0:

        chi2 = sum_{i, e} (count_ie - n_i p_e)^2 / (n_i p_e)        expected (block - 1) (experts - 1)

    and the result is the sum of chi2 over the blocks by the sum of what is expected: Pearson's dispersion of the
    block's contingency table. Sums of several iterations may be given in place of iterations. A token that chooses
    several experts, all different, gives slightly less than 1. NaN for a layer in which nothing can vary.
    Raises ValueError for a block of less than 2 or more than all iterations.
    """
    iterations, layers, experts = hotness.shape
    if not 2 <= block <= iterations:
        raise ValueError(f"block must lie in 2 .. {iterations}, got {block}")
    blocks = iterations // block
    result = np.empty(layers)
    for layer in range(layers):
        counts = hotness[: blocks * block, layer].reshape(blocks, block, experts)
        totals = counts.sum(axis=2, dtype=np.float64)
        sums = counts.sum(axis=1, dtype=np.float64)
        grand = sums.sum(axis=1)
        # sum (c - np)^2 / np = sum c^2 / np - sum n, so the table of expectations is never made.
        squares = np.einsum("bie,bi->be", counts.astype(np.float64) ** 2, 1 / np.maximum(totals, 1))
        chi2 = (squares / np.maximum(sums, 1)).sum(axis=1) * grand - grand
        rows = np.count_nonzero(totals, axis=1) - 1
        columns = np.count_nonzero(sums, axis=1) - 1
        expected = float(np.sum(np.maximum(rows, 0) * np.maximum(columns, 0)))
        result[layer] = chi2.sum() / expected if expected else np.nan
    return result
