"""The yardsticks static (no expert is ever moved) and clairvoyant DS-EPLB (plans with the coming hotness)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .comparison import Row, is_number
from .modeled_runtime import case_score, modeled_seconds

# Both move nothing that is charged: the initial deployment stays, a clairvoyant's moves are free.
YARDSTICKS = {"static": "static_mean_par", "clairvoyant": "clairvoyant_mean_par"}


def yardstick_row(reference: Row, name: str) -> Row | None:
    """The reference's row with the numbers of a yardstick; None where an older reference lacks the number."""
    mean_par = reference.get(YARDSTICKS[name])
    if not is_number(mean_par, least=1):
        return None
    return reference | {"mean_par": mean_par, "transmit_amount": 0}


def yardstick_score(references: Sequence[Row], name: str) -> float | None:
    """The composite score of a yardstick; None unless every case has the yardstick's number."""
    rows = [yardstick_row(reference, name) for reference in references]
    if not rows or None in rows:
        return None
    scores = [case_score(row, reference) for row, reference in zip(rows, references, strict=True)]
    return math.fsum(scores) / len(scores)


def share_of_the_way(row: Row, reference: Row) -> float | None:
    """A case's place between static (0) and clairvoyant DS-EPLB (1); values below 0 and above 1 are possible.

    None where the reference lacks a yardstick, or where clairvoyant DS-EPLB is no faster than static.
    """
    static, clairvoyant = yardstick_row(reference, "static"), yardstick_row(reference, "clairvoyant")
    if static is None or clairvoyant is None:
        return None
    start, whole = modeled_seconds(static), modeled_seconds(static) - modeled_seconds(clairvoyant)
    return (start - modeled_seconds(row)) / whole if whole > 0 else None
