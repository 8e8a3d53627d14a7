"""What a sweep advises: per trace, ep and window the fastest row, and the fewest redundant experts that come close."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .plan import OK
from .table import GB

if TYPE_CHECKING:
    import pandas as pd

# What comes within this part of the fastest row's modeled seconds is taken to be as good.
CLOSE = 0.01
PLACE = ("model", "dataset", "ep", "window")
HEADINGS = (
    *PLACE,
    "",
    "policy",
    "redundant_experts",
    "mean_par",
    "transmit_amount",
    "modeled_seconds",
    "GB per device",
)
FASTEST, FEWEST = "fastest", f"fewest replicas within {CLOSE:.0%}"


def choices(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    """Rows under HEADINGS: for each place the fastest case, and, where another has fewer replicas, the fewest.

    frame: of table_of; failed cases do not count. Of equals the first is taken.
    """
    rows = []
    for place, cases in frame[frame["status"] == OK].groupby(list(PLACE), sort=False):
        fastest = cases.loc[cases["modeled_seconds"].idxmin()]
        close = cases[cases["modeled_seconds"] <= fastest["modeled_seconds"] * (1 + CLOSE)]
        least = close[close["redundant_experts"] == close["redundant_experts"].min()]
        fewest = least.loc[least["modeled_seconds"].idxmin()]
        rows.append(_row(place, FASTEST, fastest))
        if fewest["redundant_experts"] < fastest["redundant_experts"]:
            rows.append(_row(place, FEWEST, fewest))
    return rows


def _row(place: tuple[Any, ...], why: str, case: pd.Series) -> tuple[Any, ...]:
    policy = f"{case['policy']} {case['parameters']}".rstrip()
    numbers = (int(case["redundant_experts"]), float(case["mean_par"]), int(case["transmit_amount"]))
    return *place, why, policy, *numbers, float(case["modeled_seconds"]), case["replica_bytes_per_device"] / GB
