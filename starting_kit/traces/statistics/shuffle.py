"""A shuffle null: the same counts with their order in time taken away, so that drift and covariance are gone.

Each expert's blocks of iterations are put into an order of its own. An expert keeps how unevenly its blocks are loaded
and what is noisy within a block; gone are what follows on what, and who is loaded when others are. One order for all
experts would not do: drift that experts share would become noise that experts share, from block to block, and their
covariance, with all that it is worth to a placement, would be the same as before.
"""

from __future__ import annotations

import numpy as np

from .blocks import shares


def shuffle(halves: np.ndarray, seed: int) -> np.ndarray:
    """Put each expert's blocks into an order drawn from the seed.

    halves: counts [half, block, layer, expert]; the halves of a block stay together. What moves are an expert's shares,
    as blocks may differ in their totals. Returns int64 counts of that shape: shares times the layer's mean total,
    rounded, so a row's total is about that mean.
    """
    rng = np.random.default_rng(seed)
    order = rng.permuted(np.broadcast_to(np.arange(halves.shape[1])[:, None, None], halves.shape[1:]), axis=0)
    totals = halves.sum(axis=-1, keepdims=True).mean(axis=1, keepdims=True)
    return np.rint(np.take_along_axis(shares(halves), order[None], axis=1) * totals).astype(np.int64)
