"""Which of two policies is better: the mean of paired differences, the 95 % interval, and a word."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

TIE, NOT_KNOWN = "tie", "not known"
# Student's t, two-sided 95 %, by degrees of freedom.
T_TABLE = {
    **dict(enumerate((12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228), 1)),
    **dict(enumerate((2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086), 11)),
    **{25: 2.060, 30: 2.042, 40: 2.021, 60: 2.000, 120: 1.980},
}


class Difference(NamedTuple):
    """Mean of the differences and the ends of the 95 % interval; NaN ends for a single difference."""

    mean: float
    low: float
    high: float

    def verdict(self, first: str, second: str) -> str:
        """The verdict: `<name> is better`, `tie` when the interval holds 0, or `not known`; above 0, the second is
        better.
        """
        if math.isnan(self.low):
            return NOT_KNOWN
        if self.low <= 0 <= self.high:
            return TIE
        return f"{second if self.mean > 0 else first} is better"


def difference(first: Sequence[float], second: Sequence[float]) -> Difference:
    """Second minus first, paired by position; at least one pair."""
    gains = [b - a for a, b in zip(first, second, strict=True)]
    count = len(gains)
    mean = math.fsum(gains) / count
    if count == 1:
        return Difference(mean, math.nan, math.nan)
    half = student_t(count - 1) * spread(gains) / math.sqrt(count)
    return Difference(mean, mean - half, mean + half)


def spread(values: Sequence[float]) -> float:
    """The standard deviation of a sample; NaN for a single value."""
    count = len(values)
    if count == 1:
        return math.nan
    mean = math.fsum(values) / count
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1))


def student_t(freedom: int) -> float:
    """The table's value; between two rows, the value of the row with the wider interval."""
    return T_TABLE[max(row for row in T_TABLE if row <= freedom)]
