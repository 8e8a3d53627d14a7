"""What is drawn of a sweep: PAR (peak-to-average ratio) against redundancy and transmit, and the score by parameter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .choice import PLACE
from .plan import OK
from .plots import Panel, Series

if TYPE_CHECKING:
    import pandas as pd

# A page of many traces stays readable; the table has them all.
MOST_PANELS = 24


def redundancy_panels(frame: pd.DataFrame) -> list[Panel]:
    """For each trace, ep and window mean_par over redundant_experts, a line per policy; none for one redundancy."""
    places = [place for place in _places(frame) if place[1]["redundant_experts"].nunique() > 1]
    return [
        Panel(title, "redundant_experts", "mean_par", _by_policy(cases, "redundant_experts", "mean_par"))
        for title, cases in places
    ]


def transmit_panels(frame: pd.DataFrame) -> list[Panel]:
    """For each trace, ep and window mean_par over transmit_amount, a point per redundancy."""
    return [
        Panel(title, "transmit_amount", "mean_par", _by_policy(cases, "transmit_amount", "mean_par"), lines=False)
        for title, cases in _places(frame)
    ]


def parameter_panels(frame: pd.DataFrame, values: Mapping[str, Mapping[str, Any]]) -> list[Panel]:
    """For each parameter with several numbers the score, mean over cases, a line per policy and other parameters.

    values: by the text of the column `parameters`.
    """
    panels = []
    for name in dict.fromkeys(name for each in values.values() for name in each):
        points: dict[str, list[tuple[float, float]]] = {}
        for (policy, text), cases in frame.groupby(["policy", "parameters"], sort=False):
            value, whole = values[text].get(name), (cases["status"] == OK).all() and cases["case_score"].notna().all()
            if isinstance(value, int | float) and not isinstance(value, bool) and whole:
                others = ", ".join(f"{other}={each!r}" for other, each in values[text].items() if other != name)
                points.setdefault(f"{policy} {others}".rstrip(), []).append((value, float(cases["case_score"].mean())))
        series = [Series(title, sorted(each)) for title, each in points.items()]
        if any(len(each.points) > 1 for each in series):
            panels.append(Panel(name, name, "case_score, mean over cases", series))
    return panels


def _places(frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    groups = frame[frame["status"] == OK].groupby(list(PLACE), sort=False)
    return [(f"{model}/{dataset} ep {ep}, window {window}", cases) for (model, dataset, ep, window), cases in groups]


def _by_policy(cases: pd.DataFrame, x: str, y: str) -> list[Series]:
    return [
        Series(
            f"{policy} {parameters}".rstrip(), sorted(zip(rows[x].astype(float), rows[y].astype(float), strict=True))
        )
        for (policy, parameters), rows in cases.groupby(["policy", "parameters"], sort=False)
    ]
