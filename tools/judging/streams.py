"""The champion and two studies of its planner on streams of recorded requests, paired: all on the same streams."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pandas as pd

from scores.table import markdown

from .board import Row

CHAMPION, RIVALS = "champion", ("kernel forecast", "return hedge")


def comparison(measured: Iterable[Row]) -> str:
    """Markdown, a row for each stream at each ep: means, and paired differences with their standard errors."""
    scores = pd.DataFrame(measured, columns=Row._fields)
    less = [f"{CHAMPION} less {rival} (standard error)" for rival in RIVALS]
    rows = []
    for (stream, ep), cell in scores.groupby(["dataset", "ep"], sort=False):
        by_policy = cell.pivot(index="seed", columns="policy", values="score")
        means = [float(by_policy[name].mean()) for name in (CHAMPION, *RIVALS)]
        differences = ["{:+.2f} ({:.2f})".format(*paired(by_policy, rival)) for rival in RIVALS]
        rows.append([stream, ep, len(by_policy), *means, *differences, verdict(by_policy)])
    return markdown(["stream", "ep", "seeds", CHAMPION, *RIVALS, *less, "against the better"], rows)


def paired(by_policy: pd.DataFrame, rival: str) -> tuple[float, float]:
    """By how much the champion is above a rival on the same seeds: mean and its standard error, nan for one seed.

    by_policy: a score for each seed and policy.
    """
    difference = by_policy[CHAMPION] - by_policy[rival]
    return float(difference.mean()), float(difference.sem())


def verdict(by_policy: pd.DataFrame) -> str:
    """Whether the champion is at most one standard error of the paired difference below the better rival."""
    mean, error = paired(by_policy, max(RIVALS, key=lambda rival: by_policy[rival].mean()))
    if math.isnan(error):
        return "one seed"
    return "above" if mean >= 0 else "within one error" if mean >= -error else "below"
