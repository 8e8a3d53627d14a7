"""The score: modeled seconds of a case, the case score, and the five leaderboard columns from a table of the cases."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

# In the order of the leaderboard; competition.yaml has the same keys.
COLUMNS = ("composite_score", "mean_par", "transmit_amount", "par_vs_ds_eplb", "transmit_vs_ds_eplb")


def modeled_seconds(row: Mapping[str, Any]) -> float:
    """Modeled runtime of a case: balanced compute stretched by PAR, plus the transfer of moved experts."""
    return row["cost"]["balanced_compute_seconds"] * row["mean_par"] + transfer_seconds(row)


def transfer_seconds(row: Mapping[str, Any]) -> float:
    """Seconds that a case's moved experts take: transmit amount * expert_bytes / bandwidth."""
    cost = row["cost"]
    return row["transmit_amount"] * cost["expert_bytes"] / cost["bandwidth_bytes_per_second"]


def case_score(row: Mapping[str, Any], reference: Mapping[str, Any]) -> float:
    """The case score: 100 * DS-EPLB's modeled time / the submission's, on the same case; twice as fast scores 200."""
    return 100 * modeled_seconds(reference) / modeled_seconds(row)


def case_table(pairs: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> pd.DataFrame:
    """A table with one row for each pair (measured case, reference row), in grid order: the score and its inputs."""
    import pandas as pd

    rows = [
        {name: row[name] for name in ("model", "dataset", "ep", "redundant_experts", "status")}
        | {
            "case_score": case_score(row, reference),
            "modeled_seconds": modeled_seconds(row),
            "par_vs_ds_eplb": row["mean_par"] / reference["mean_par"],
            "transmit_vs_ds_eplb": row["transmit_amount"] / reference["transmit_amount"],
            "mean_par": row["mean_par"],
            "transmit_amount": row["transmit_amount"],
        }
        for row, reference in pairs
    ]
    return pd.DataFrame(rows)


def leaderboard(cases: pd.DataFrame) -> dict[str, float]:
    """The five leaderboard columns from the table of the cases, rounded to 10 decimals.

    Raises ValueError for a column that the platform cannot store: not finite, or outside 0 .. 1e10.
    """
    columns = (
        _mean(cases["case_score"]),
        _mean(cases["mean_par"]),
        int(cases["transmit_amount"].sum()),
        _mean(cases["par_vs_ds_eplb"]),
        _mean(cases["transmit_vs_ds_eplb"]),
    )
    scores = {name: round(value, 10) for name, value in zip(COLUMNS, columns, strict=True)}
    for name, value in scores.items():
        if not math.isfinite(value) or not 0 <= value < 1e10:
            raise ValueError(f"{name} = {value} is outside 0 .. 1e10")
    return scores


def _mean(values: pd.Series) -> float:
    return math.fsum(values) / len(values)
