"""Whether a redeployment pays: what layers gain over the iterations that are left, against what their slots cost."""

from __future__ import annotations

from typing import Any

import numpy as np


def seconds_of_par(case: Any, iteration: int) -> float:
    """Modeled seconds that a layer saves by one point of PAR less, when the policy is called in `iteration`.

    case: what the policy is given. One layer is applied in each iteration, so a layer of the middle waits for half of
    them. 0 when nothing is left.
    """
    left = max(case.iterations - iteration - case.latency - case.layers / 2, 0)
    return case.balanced_compute_seconds * left / (case.iterations * case.layers)


def seconds_of_slot(case: Any) -> float:
    """Modeled seconds that a changed slot costs."""
    return case.expert_bytes / case.bandwidth_bytes_per_second


def worthwhile(
    gains: np.ndarray, tables: np.ndarray, deployment: np.ndarray, value: float, price: float
) -> tuple[np.ndarray, np.ndarray]:
    """The layers that are worth their slots, the most worthwhile first, and a table with the best candidate of each.

    gains: by how much a candidate lowers a layer's PAR, [candidate, layer]; tables: [candidate, layer, device, slot];
    deployment: the live table; value: seconds of a point of PAR; price: of a changed slot. Returns int64 [layers in
    order] and [layer, device, slot]: what a policy answers. Ties go to the first candidate and the lower layer.
    """
    profits = value * gains - price * (tables != deployment).sum(axis=(2, 3))
    best, profit = profits.argmax(axis=0), profits.max(axis=0)
    order = np.argsort(-profit, kind="stable")
    return order[profit[order] > 0], tables[best, np.arange(len(deployment))]
