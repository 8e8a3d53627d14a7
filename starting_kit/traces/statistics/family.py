"""Which family of traces a trace resembles most, by three figures and plain thresholds.

    stationary   nothing moves beyond sampling
    independent  each expert moves alone
    requests     experts move together, as the requests that prefer them come and go: what has fallen to zero stays low
    profiles     experts move together on one wave: what has fallen to zero turns against itself

A trace that moves too slowly for its length, as one whose regime switches twice, does not show whether its experts turn
back, or did so by chance: it lies between the last two. So does the independent trace of Mix: its experts drift alone,
but its regimes switch for all of them at once.

Measured, least to greatest: 6144 iterations, ten seeds of each kind (31 to 40). Traces of the eight profiles that
ship have 12 layers. The requests are of GPT-OSS-20B (24 layers, topics as in topics_gptoss20b.yaml), 256 and 512 in
flight, and of DeepSeek-V2-Lite (26 layers, a topic for each label), 512 in flight. Stationary is a profile but Mix
without topics and drift. Three of the drifting ones end before `returning` has a value.

    traces                             lasting    together    returning       said to be
    profiles but Mix                .91 to .98   .11 to .51  -.92 to -.54     profiles
    DS-R1/Mix, two switches         1.00         .29 to .31  none             requests or profiles
    independent but Mix             .89 to .98   .01 to .04  -.16 to -.10     independent
    independent DS-R1/Mix           1.00         .30 to .33  none             requests or profiles
    requests, topics stationary     .75 to .87   .20 to .56  -.21 to  .04     requests
    requests, topics drifting       .95 to .99   .29 to .68  -.48 to  .09     requests 22, either 7, profiles 1
    requests, topics switching      .97 to 1.00  .18 to .72  -.64 to -.21     requests 6, either 24
    stationary                     -.01 to .01  none         none             stationary

The thresholds of `lasting` and `together` lie between these families. That of `returning` lies above some requests:
switching topics turn too seldom for it (TURNS), and one trace of drifting ones, at -.48, is taken for a profile's.
"""

from __future__ import annotations

import math

# Below the first number, or up to it, the one family; from the second on the other; between them, both.
LASTING = (0.05, 0.15)
TOGETHER = (0.06, 0.1)
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
        "zero_lag": f"up to 1/{4 * TURNS} of the trace, or it may be requests as well as profiles",
        "returning": f"profiles up to {RETURNING[0]}, requests from {RETURNING[1]} on",
    }
