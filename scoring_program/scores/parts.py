"""The seconds of a case above a perfect balance, split into five parts whose sum they are.

The page *Evaluation* defines the parts. All numbers come from results.json and ds_eplb.json.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from .comparison import LARGEST, Row, is_number
from .modeled_runtime import modeled_seconds, transfer_seconds

NAMES = ("fixed", "roll-out", "settled", "clairvoyant's own", "transfer")


class Parts(NamedTuple):
    """Seconds of the five parts, in the order of NAMES."""

    fixed: float
    roll_out: float
    settled: float
    clairvoyant: float
    transfer: float


def seconds_above(row: Row) -> float:
    """Modeled seconds minus those of a perfect balance without moves."""
    return modeled_seconds(row) - row["cost"]["balanced_compute_seconds"]


def seconds_parts(row: Row, reference: Row) -> Parts | None:
    """The parts of a measured case, or DS-EPLB's parts where row is the reference's; None where a number is missing.

    `settled` is seconds_above minus the other four parts.
    """
    numbers = [row.get("fixed_par"), row.get("roll_out_par"), reference.get("clairvoyant_later_par")]
    if not all(is_number(number, least=-LARGEST) for number in numbers):
        return None
    compute = row["cost"]["balanced_compute_seconds"]
    fixed, roll_out, clairvoyant = (compute * number for number in numbers)
    above_one = compute * (row["mean_par"] - 1)
    return Parts(fixed, roll_out, above_one - fixed - roll_out - clairvoyant, clairvoyant, transfer_seconds(row))


def sums(parts: Sequence[Parts | None]) -> Parts | None:
    """The parts summed over several cases; None unless every case's parts are known."""
    if not parts or None in parts:
        return None
    return Parts(*(math.fsum(part) for part in zip(*parts, strict=True)))
