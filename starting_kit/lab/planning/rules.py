"""The rules that a plan must keep, and how far its copies are apart."""

from __future__ import annotations

import numpy as np

from ..serving.measures import row_traffic
from ..serving.replicas import Copies, copies_of
from ..serving.torus import Torus
from ..traces.batches import Batches


def check_plan(
    plan: np.ndarray,
    experts: int,
    slots: int,
    copies: int | None = None,
    batches: Batches | None = None,
    routed: np.ndarray | None = None,
    torus: Torus | None = None,
    row_cap: int | None = None,
) -> None:
    """Raise ValueError, which names the rule, for a plan that breaks one.

    slots: per device; copies: at most so many filled slots; row_cap: at most so many choices of a batch may cross into
    a row, for which batches, routed and torus are needed.
    """
    if plan.shape[1] > slots:
        raise ValueError(f"slots: a device has {plan.shape[1]}; expected at most {slots}")
    try:
        listed = copies_of(plan, experts)
    except ValueError as error:
        raise ValueError(f"coverage: {error}") from None
    if copies is not None and len(listed.slot) > copies:
        raise ValueError(f"copies: the plan has {len(listed.slot)}; expected at most {copies}")
    if row_cap is not None:
        traffic = row_traffic(batches, listed, routed, torus)
        if traffic.max() > row_cap:
            batch, row = np.argwhere(traffic > row_cap)[0]
            raise ValueError(
                f"row traffic: {traffic[batch, row]} choices cross into row {row} in batch {batch}; expected at most "
                f"{row_cap}"
            )


def share_on_distinct_rows(plan: np.ndarray, torus: Torus, experts: int) -> float:
    """The share of the experts with several copies that have them all on distinct rows; 1 where there is none."""
    copies = copies_of(plan, experts)
    several = np.flatnonzero(copies.count > 1)
    rows = torus.row(copies.device)
    apart = [len(set(own.tolist())) == len(own) for e in several if len(own := _own(rows, copies, e))]
    return float(np.mean(apart)) if apart else 1.0


def _own(values: np.ndarray, copies: Copies, expert: int) -> np.ndarray:
    return values[copies.first[expert] : copies.first[expert + 1]]
