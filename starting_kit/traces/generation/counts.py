"""Token counts from shares: over-dispersed, and adding up to what an iteration's tokens route.

    total[t] = top_k * tokens[t], tokens[t] = tokens_per_iteration * exp(token_spread * N - token_spread^2 / 2), rounded
    m        = total[t] * share, the expected count
    G        = Gamma of mean m and variance m + dispersion * m^2: the moments of a gamma-Poisson count
    counts   = G * total / sum(G) over the layer, rounded so that the sum stays: with C the sums over the experts
               before, floor(C[e + 1] + u) - floor(C[e] + u), u uniform, one for every row

A token chooses an expert at most once: expected counts beyond tokens[t] are brought down to it, and the rest is
given to the others in proportion.
"""

from __future__ import annotations

import numpy as np

from .profile import Parameters

# Shares are rounded to multiples of this, so that the last digit of a machine's exp() rarely decides a count.
SHARE_STEP = 2.0**-30
MOST_TOKENS = 2**31 - 1


def draw_tokens(p: Parameters, iterations: int, rng: np.random.Generator) -> np.ndarray:
    """Tokens of each iteration: int64 [iteration], log-normal around the mean, at least one.

    Raises ValueError when an iteration's exceed what a trace can hold.
    """
    factor = np.exp(p.token_spread * rng.standard_normal(iterations) - p.token_spread**2 / 2)
    tokens = np.maximum(np.rint(p.tokens_per_iteration * factor), 1)
    if tokens.max() > MOST_TOKENS:
        raise ValueError(
            f"an iteration of {tokens.max():.3g} tokens exceeds {MOST_TOKENS}, the largest count of a trace"
        )
    return tokens.astype(np.int64)


def draw_counts(p: Parameters, share: np.ndarray, tokens: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Counts int32 [iteration, layer, expert]; every row sums to top_k * tokens and none exceeds tokens.

    share: [layer, expert], rows adding up to 1; tokens: int64 [iteration].
    """
    share = np.maximum(np.rint(share / SHARE_STEP), 1) * SHARE_STEP
    total = (p.top_k * tokens).astype(np.float64)[:, None]
    expected = total.astype(np.float32)[..., None] * share.astype(np.float32)
    # A gamma variable of shape m / scale has mean m and variance m * scale.
    scale = 1 + np.float32(p.dispersion) * expected
    drawn = rng.standard_gamma(expected / scale, dtype=np.float32)
    drawn *= scale
    largest = drawn.max(axis=-1)
    # Shapes near 0 can draw 0 for every expert, which says nothing of their proportions.
    nothing = largest == 0
    drawn[nothing] = expected[nothing]
    largest[nothing] = expected[nothing].max(axis=-1)
    sums = drawn.cumsum(axis=-1, dtype=np.float64)
    factor = total / sums[..., -1]
    sums *= factor[..., None]
    for row, layer in np.argwhere(largest * factor > tokens[:, None]):
        values = drawn[row, layer].astype(np.float64) * factor[row, layer]
        sums[row, layer] = _limited(values, float(tokens[row])).cumsum()
    # The last sum is exact, whatever the scaling's last digit is.
    sums[..., -1] = total
    sums += rng.random(sums.shape[:-1])[..., None]
    # All of them are positive, so this rounds down.
    whole = sums.astype(np.int64)
    counts = np.empty(whole.shape, np.int32)
    counts[..., 0] = whole[..., 0]
    np.subtract(whole[..., 1:], whole[..., :-1], out=counts[..., 1:], casting="unsafe")
    return counts


def _limited(values: np.ndarray, limit: float) -> np.ndarray:
    """Values brought down to `limit`, the excess given to those that have room.

    It is given in proportion to what they have, evenly where that is nothing.
    """
    total = values.sum()
    while values.max() > limit * (1 + 1e-12):
        full = values >= limit
        values[full] = limit
        if not values[~full].any():
            values[~full] = 1.0
        values[~full] *= (total - limit * full.sum()) / values[~full].sum()
    return np.minimum(values, limit)
