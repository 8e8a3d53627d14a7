"""Counts of blocks of consecutive iterations, and the shares they amount to."""

from __future__ import annotations

import numpy as np


def block_sums(hotness: np.ndarray, block: int) -> np.ndarray:
    """Add up every `block` consecutive iterations.

    hotness: integers [iteration, layer, expert] in any memory order. Returns int64 [block, layer, expert]; an
    incomplete block at the end is left out. Raises ValueError when not even one block is complete.
    """
    blocks = len(hotness) // block if block > 0 else 0
    if not blocks:
        raise ValueError(f"no complete block of {block} in {len(hotness)} iterations")
    whole = hotness[: blocks * block]
    return whole.reshape(blocks, block, *hotness.shape[1:]).sum(axis=1, dtype=np.int64)


def half_sums(hotness: np.ndarray, block: int) -> np.ndarray:
    """Add up the even and the odd iterations of every `block` consecutive ones, apart.

    hotness: integers [iteration, layer, expert]; block: iterations, even. Returns int64 [half, block, layer, expert];
    an incomplete block at the end is left out. Raises ValueError when the block is odd or does not fit twice.
    """
    if block < 2 or block % 2 or len(hotness) < 2 * block:
        raise ValueError(f"block must be even and fit twice into {len(hotness)} iterations, got {block}")
    used = hotness[: len(hotness) // block * block]
    return np.stack([block_sums(used[first::2], block // 2) for first in (0, 1)])


def shares(counts: np.ndarray) -> np.ndarray:
    """Each expert's part of its row: counts [..., expert] over their sum, float64; zeros where a row is empty."""
    totals = counts.sum(axis=-1, keepdims=True)
    return counts / np.maximum(totals, 1)
