"""What a case would cost when nothing is ever moved, and when the coming hotness is known: where a result lies."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .comparison import Row, is_number
from .modeled_runtime import case_score, modeled_seconds

# Both move nothing that is charged: the initial deployment stays, a clairvoyant's moves are free.
YARDSTICKS = {"static": "static_mean_par", "clairvoyant": "clairvoyant_mean_par"}


def yardstick_row(reference: Row, name: str) -> Row | None:
    """The reference's row as a yardstick would have it; None where an older reference has no such number."""
    mean_par = reference.get(YARDSTICKS[name])
    if not is_number(mean_par, least=1):
        return None
    return reference | {"mean_par": mean_par, "transmit_amount": 0}


def yardstick_score(references: Sequence[Row], name: str) -> float | None:
    """The composite score of a yardstick, or None unless every case has it."""
    rows = [yardstick_row(reference, name) for reference in references]
    if not rows or None in rows:
        return None
    scores = [case_score(row, reference) for row, reference in zip(rows, references, strict=True)]
    return math.fsum(scores) / len(scores)


def share_of_the_way(row: Row, reference: Row) -> float | None:
    """How far a case went from static (0) to clairvoyant (1): below 0 and above 1 are possible.

    None where the reference lacks one of them, or where clairvoyance gains nothing.
    """
    static, clairvoyant = yardstick_row(reference, "static"), yardstick_row(reference, "clairvoyant")
    if static is None or clairvoyant is None:
        return None
    start, whole = modeled_seconds(static), modeled_seconds(static) - modeled_seconds(clairvoyant)
    return (start - modeled_seconds(row)) / whole if whole > 0 else None
