"""The score: modeled seconds of a case, the case score, and the five leaderboard columns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

# In the order of the leaderboard; competition.yaml has the same keys.
COLUMNS = ("composite_score", "mean_par", "transmit_amount", "par_vs_ds_eplb", "transmit_vs_ds_eplb")


def modeled_seconds(row: Mapping[str, Any]) -> float:
    """Modeled runtime of a case: balanced compute stretched by PAR, plus the transfer of moved experts."""
    cost = row["cost"]
    transfer = row["transmit_amount"] * cost["expert_bytes"] / cost["bandwidth_bytes_per_second"]
    return cost["balanced_compute_seconds"] * row["mean_par"] + transfer


def case_score(row: Mapping[str, Any], reference: Mapping[str, Any]) -> float:
    """100 for DS-EPLB's modeled time on the same case; twice as fast scores 200."""
    return 100 * modeled_seconds(reference) / modeled_seconds(row)


def leaderboard(rows: Sequence[Mapping[str, Any]], references: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The five columns from rows and references in the same, the grid's, order; rounded to 10 decimals.

    Raises ValueError when a column would not be a finite number that the platform can store.
    """
    pairs = list(zip(rows, references, strict=True))
    columns = (
        _mean([case_score(row, reference) for row, reference in pairs]),
        _mean([row["mean_par"] for row in rows]),
        sum(row["transmit_amount"] for row in rows),
        _mean([row["mean_par"] / reference["mean_par"] for row, reference in pairs]),
        _mean([row["transmit_amount"] / reference["transmit_amount"] for row, reference in pairs]),
    )
    scores = {name: round(value, 10) for name, value in zip(COLUMNS, columns, strict=True)}
    for name, value in scores.items():
        if not math.isfinite(value) or not 0 <= value < 1e10:
            raise ValueError(f"{name} = {value} is outside 0 .. 1e10")
    return scores


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
