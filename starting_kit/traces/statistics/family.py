"""Which family of traces a trace resembles most, by three figures and plain thresholds.

    stationary   nothing moves beyond sampling
    independent  each expert moves alone
    requests     experts move together, as the requests that prefer them come and go: what has fallen to zero stays low
    profiles     experts move together on one wave: what has fallen to zero turns against itself

A trace that moves too slowly for its length, as one whose regime switches twice, does not show whether its experts turn
back, or did so by chance: it lies between the last two.

The thresholds lie between what traces of each family measured: 6144 iterations, 12 layers (requests: 24 or 26), five
seeds of each kind, least to greatest. The requests are of GPT-OSS-20B, 256 and 512 in flight, and of DeepSeek-V2-Lite.

    traces                             lasting    together    returning       said to be
    profiles but Mix                .91 to .98  .12 to .40  -.91 to -.57      profiles
    DS-R1/Mix, two switches         1.00        .26 to .29  none              requests or profiles
    independent                     .90 to .98 -.01 to .03  -.16 to -.12      independent
    requests, topics stationary     .78 to .90  .15 to .46  -.23 to  .04      requests
    requests, topics drifting       .94 to .99  .12 to .52  -.67 to -.05      requests, 11 of 15; else either
    requests, topics switching      .96 to 1.0  .22 to .51  none              requests or profiles
    stationary                      .00         none        none              stationary
"""

from __future__ import annotations

import math

# Below the first number, or up to it, the one family; from the second on the other; between them, both.
LASTING = (0.05, 0.15)
TOGETHER = (0.04, 0.1)
RETURNING = (-0.45, -0.35)
# What turns once only may have turned back by chance.
TURNS = 2
# In a shorter trace experts that move alone seem to move together.
LEAST_ITERATIONS = 2048


def families(lasting: float, together: float, returning: float, zero_lag: float, iterations: int) -> list[str]:
    """The family that figures of drift_figures.py speak for, or those between which they do not decide.

    iterations: the trace's length. A slow part that cannot be told from noise has no components: together is NaN then.
    NaN for returning decides nothing.
    """
    if lasting < LASTING[0] or math.isnan(together):
        return ["stationary"]
    found = ["stationary"] if lasting < LASTING[1] else []
    short = iterations < LEAST_ITERATIONS
    if short or together < TOGETHER[1]:
        found.append("independent")
    if short or together > TOGETHER[0]:
        turned = not short and returning <= RETURNING[0] and 4 * zero_lag * TURNS <= iterations
        found += ["requests"] if not turned else []
        found += ["profiles"] if short or not returning >= RETURNING[1] else []
    return found


def thresholds() -> dict[str, str]:
    """What each figure says, by its name in drift_figures.py."""
    return {
        "lasting": f"stationary below {LASTING[0]}, another family from {LASTING[1]} on",
        "together": f"independent up to {TOGETHER[0]}, requests or profiles from {TOGETHER[1]} on",
        "zero_lag": f"profiles, rather than both, up to 1/{4 * TURNS} of the trace",
        "returning": f"profiles up to {RETURNING[0]}, requests from {RETURNING[1]} on",
    }
