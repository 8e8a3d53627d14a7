"""How many slots a redeployed layer changes, and how many would change with devices renamed and slots aligned."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

# Slots of a device, more than any model has experts.
MOST = 10_000


class Moves(NamedTuple):
    """changed: changed slots of each applied layer; slots: slots of one layer; devices: how many."""

    changed: np.ndarray
    slots: float
    devices: int


def relabelled(moves: Moves) -> np.ndarray:
    """Changed slots of each applied layer with devices renamed and slots aligned; at most `changed`."""
    return np.minimum(moves.changed, moves.slots - moves.devices * kept(moves.slots, moves.devices))


def kept(slots: float, devices: int) -> float:
    """Slots that can stay on a device, mean over devices, for a plan that is independent of the plan before.

    Of S = slots / devices on each, two devices share a Poisson number of mean S / devices. A device of the new plan
    meets devices * P(at least k shared) of the old ones that keep k slots, and finds one of them free with about
    1 - exp(-that).
    """
    each = slots / devices
    mean, tail, term, total = each / devices, 1.0, math.exp(-each / devices), 0.0
    for shared in range(1, min(math.ceil(each), MOST) + 1):
        tail -= term
        term *= mean / shared
        total -= math.expm1(-devices * max(tail, 0.0))
    return min(total, each)
