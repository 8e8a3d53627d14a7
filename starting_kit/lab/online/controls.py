"""Controls: which replica of its expert serves each choice of one batch, from (batch, plan, hints).

A control runs between two layers, so it sees one batch and what is known of an earlier one. It never changes the plan:
its arrays cannot be written, and what replay measures by is a copy of its own.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..serving.cost import BLOCK
from ..serving.replicas import Replicas
from ..serving.routing import earlier, levelled_blocks, own_row, round_robin, same_row_first
from ..serving.torus import Torus
from ..traces.batches import Batches

# (one batch, plan, hints) -> int64 [token, choice], indices into the plan's replicas; hints: the load int64 [expert] of
# the batch that is as old as replay's age says (0: of this batch), or None where there is no such batch yet.
Control = Callable[[Batches, Replicas, np.ndarray | None], np.ndarray]
NAMES = ("round-robin", "same-row-first", "least-loaded", "row-aware")


def controls(torus: Torus, threshold: float = 1.0) -> dict[str, Control]:
    """All controls by NAMES. threshold: of those that look at rows; see row_aware."""
    return {
        "round-robin": lambda batch, plan, _: round_robin(batch, plan),
        "same-row-first": lambda batch, plan, _: same_row_first(batch, plan, torus, threshold),
        "least-loaded": lambda batch, plan, hints: row_aware(batch, plan, hints, torus, 0),
        "row-aware": lambda batch, plan, hints: row_aware(batch, plan, hints, torus, threshold),
    }


def row_aware(
    batch: Batches, plan: Replicas, hints: np.ndarray | None, torus: Torus, threshold: float = 1.0
) -> np.ndarray:
    """The replica in the token's own row until it is full; the rest fills the replicas on the least loaded devices.

    Each replica has a target, see `targets`. A replica takes tokens of its own row up to `threshold` times its target;
    what is left of an expert fills what is left of the targets, in the order of the replicas. threshold: 0 ignores
    rows, which is least loaded by whole blocks; infinity never spills.
    """
    target = targets(batch, plan, hints)
    in_row = own_row(batch, plan, torus)
    limit = np.full(len(target), np.inf) if np.isinf(threshold) else threshold * target
    stays = (in_row >= 0) & (earlier(in_row, in_row >= 0) < limit[in_row])
    room = np.maximum(target - np.bincount(in_row[stays], minlength=len(target)), 0)
    filled = np.cumsum(room)
    place = (filled - room)[plan.first[batch.choices]] + earlier(batch.choices, ~stays)
    return np.where(stays, in_row, np.searchsorted(filled, place, side="right"))


def targets(batch: Batches, plan: Replicas, hints: np.ndarray | None, block: int = BLOCK) -> np.ndarray:
    """How many tokens of the batch each replica should serve: int64 [replica], of each expert as many as it has.

    Whole blocks, in the shares in which the hints' blocks level the devices; without hints, and for an expert that had
    no token there, evenly.
    """
    ones = np.ones(len(plan.slot), np.int64)
    quota = ones if hints is None else levelled_blocks(-(-hints // block), plan)
    first, expert, load = plan.first[:-1], plan.expert, batch.load[0]
    quota = np.where(np.add.reduceat(quota, first)[expert] > 0, quota, ones)
    total = np.add.reduceat(quota, first)[expert]
    upto = np.cumsum(quota)
    upto -= (upto - quota)[first][expert]
    # Block b goes to the first replica whose part of the whole reaches the block's middle, in integers.
    blocks = (2 * upto * (-(-load // block))[expert] + total) // (2 * total)
    tokens = np.minimum(block * blocks, load[expert])
    before = np.append(0, tokens[:-1])
    before[first] = 0
    return tokens - before
