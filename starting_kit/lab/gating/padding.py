"""Rows that are multiplied for nothing: by blocks of what came (dropless), or in a buffer of the capacity."""

from __future__ import annotations

import numpy as np


def block_padding(tokens: np.ndarray, block: int) -> np.ndarray:
    """Empty rows of the last block, 0 .. block - 1, none where nothing came. tokens: integers, of each replica.

    Source: MegaBlocks (arXiv 2211.15841), whose kernels drop no token and pad to whole blocks.
    """
    return -tokens % block


def buffers(tokens: np.ndarray, room: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Rows that each replica multiplies where its expert has a buffer of its capacity: int64 [batch, replica].

    tokens: [batch, replica]; room: the capacity of an expert, [batch]; count: replicas of the replica's expert. Each
    has an even part of the buffer, whether tokens came or not, and more where it got more.
    """
    return np.maximum(tokens, -(-room[:, None] // count))
