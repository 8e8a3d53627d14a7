"""Experts that tokens choose together, in one row of the grid: a graph partition, and deployment tables made from it.

Measured: on clustered routing the table lowers the distinct rows per token by 27 to 35 %, held out too, while the
largest load stays within 5 % on the batches that it was made from; on others it may not (max / mean 1.47 to 1.58 over
both). Without clusters rows fall by 2 to 5 %. Latency under the cost model takes the largest dispatch of all tokens and
so shows no gain: within 0.6 % on 16 x 8 devices, but 9 % worse on 8 x 4 with 64 experts, whose replicas fill more
blocks.
"""

from __future__ import annotations

import numpy as np

from planning.levelling import levelled
from planning.packing import heaviest_first

from ..serving.measures import even_loads
from ..serving.replicas import Replicas, replicas_of
from ..serving.torus import Torus
from .even import even_table

# How far row loads may lie above their mean: loose ones cut less, tight ones keep the limit on devices.
TOLERANCES = (0.2, 0.1, 0.05, 0.02, 0.005)


def cut_weight(weight: np.ndarray, part: np.ndarray) -> float:
    """The weight of pairs that lie in different parts, each pair once.

    weight: symmetric [item, item]; part: [item].
    """
    apart = part[:, None] != part
    return float(np.asarray(weight, np.float64)[apart].sum() / 2)


def partition(
    weight: np.ndarray,
    parts: int,
    load: np.ndarray | None = None,
    tolerance: float = 0.05,
    start: np.ndarray | None = None,
) -> np.ndarray:
    """Split items into parts of sizes equal within 1 so that little weight is cut: greedy, then the best swaps.

    weight: symmetric [item, item], finite and not negative; load: [item], of which no part should hold more than the
    mean of the parts * (1 + tolerance); start: a partition to improve instead of the greedy one, whose sizes stay.
    Returns int64 [item]; the same for the same arguments, whatever their units. Raises ValueError for a weight that is
    not symmetric or not finite, and for no part.
    """
    weight = np.array(weight, np.float64)
    if weight.ndim != 2 or weight.shape[0] != weight.shape[1] or not np.array_equal(weight, weight.T):
        raise ValueError(f"the weight must be symmetric [item, item], got shape {list(weight.shape)}")
    if not np.isfinite(weight).all():
        raise ValueError("the weight holds infinity; expected finite numbers")
    if parts < 1:
        raise ValueError(f"{parts} parts; expected at least 1")
    np.fill_diagonal(weight, 0)
    # In units of the largest weight and of the whole load: products of the two then stay far from what a float holds.
    weight = _by_largest(weight)
    load = _by_largest(np.zeros(len(weight)) if load is None else np.asarray(load, np.float64))
    load = load / max(load.sum(), 1.0)
    most = load.sum() / parts * (1 + tolerance)
    part = _greedy(weight, parts, load, most) if start is None else np.array(start, np.int64)
    return _swapped(weight, parts, load, most, part)


def _by_largest(values: np.ndarray) -> np.ndarray:
    """The values divided by the largest one; zeros as they are."""
    largest = values.max(initial=0.0)
    return values / largest if largest > 0 else values


def _greedy(weight: np.ndarray, parts: int, load: np.ndarray, most: float) -> np.ndarray:
    """Items of the most weight first, each to the part with room that it has most weight with."""
    items = len(weight)
    room = np.full(parts, items // parts) + (np.arange(parts) < items % parts)
    part, carried = np.full(items, -1), np.zeros(parts)
    near = np.zeros((items, parts))
    for item in np.argsort(-weight.sum(axis=1), kind="stable"):
        order = np.lexsort((carried, -near[item], carried + load[item] > most, room == 0))
        chosen = order[0]
        part[item] = chosen
        room[chosen] -= 1
        carried[chosen] += load[item]
        near[:, chosen] += weight[item]
    return part


def _swapped(weight: np.ndarray, parts: int, load: np.ndarray, most: float, part: np.ndarray) -> np.ndarray:
    """Exchange the best two items until none gains; loads above the limit weigh more than all pairs."""
    inside = np.eye(parts)[part]
    near = weight @ inside
    carried = load @ inside
    price = weight.sum() * len(weight)
    gain = np.empty_like(weight)
    touched = np.arange(len(part))
    for _ in range(10 * len(weight)):
        # Exchanges of which neither item lies in a part that changed gain what they gained before.
        _measure(gain, weight, near, carried, load, most, price, part, touched)
        first, second = divmod(int(gain.argmax()), len(part))
        if gain[first, second] <= 1e-9 * weight.sum():
            break
        one, other = part[first], part[second]
        change = weight[first] - weight[second]
        near[:, one] -= change
        near[:, other] += change
        carried[one] += load[second] - load[first]
        carried[other] += load[first] - load[second]
        part[first], part[second] = other, one
        touched = np.flatnonzero((part == one) | (part == other))
    return part


def _measure(
    gain: np.ndarray,
    weight: np.ndarray,
    near: np.ndarray,
    carried: np.ndarray,
    load: np.ndarray,
    most: float,
    price: float,
    part: np.ndarray,
    items: np.ndarray,
) -> None:
    """Write what exchanging each of `items` with any item saves into its row and column of gain; 0 within a part."""
    inner = near[np.arange(len(part)), part]
    both = near[items][:, part] + near[:, part[items]].T
    double = 2 * weight[items]
    # A part gets the other's item, and loses the one that it held.
    held, free = carried[part], carried[part] - load
    over = np.maximum(0, free[items][:, None] + load - most) - np.maximum(0, held[items] - most)[:, None]
    over += np.maximum(0, free + load[items][:, None] - most) - np.maximum(0, held - most)
    over *= price
    same = part[items][:, None] == part
    # A row loses its item's pairs first, a column its item's: the last digits are those of the whole matrix at once.
    saved = both - inner[items][:, None] - inner - double - over
    saved[same] = 0
    gain[items] = saved
    saved = both - inner - inner[items][:, None] - double - over
    saved[same] = 0
    gain[:, items] = saved.T


def replica_weight(coactivation: np.ndarray, replicas: Replicas) -> np.ndarray:
    """Tokens expected to meet both of two replicas, when an expert's replicas serve its tokens in turn.

    coactivation: [expert, expert], tokens of each pair. Returns float64 [replica, replica], 0 between
    replicas of one expert.
    """
    expert, count = replicas.expert, replicas.count[replicas.expert]
    result = np.asarray(coactivation, np.float64)[expert[:, None], expert] / (count[:, None] * count)
    result[expert[:, None] == expert] = 0
    return result


def affinity_table(
    load: np.ndarray,
    coactivation: np.ndarray,
    torus: Torus,
    slots_per_device: int = 3,
    shared: bool = True,
    worse: float = 0.05,
    *,
    top_k: int,
) -> np.ndarray:
    """Put experts that tokens choose together into one row, with the replicas of the load-only table.

    load: routed experts' tokens [batch, expert] or [expert]; coactivation: tokens of each pair [expert, expert];
    worse: how much `largest_load` may exceed that of `even_table` without exchanges, whose result is returned where no
    partition keeps to it or cuts less; top_k: as there. Returns int64 [device, slot].
    """
    load = np.atleast_2d(np.asarray(load))
    experts = load.shape[1]
    table = even_table(load, torus, slots_per_device, shared=shared, top_k=top_k, exchanges=False)
    if shared:
        load = np.hstack([load, load.sum(axis=1, keepdims=True) / min(top_k, experts)])
    fixed = np.where(table == experts, table, -1)
    routed = np.where(table == experts, -1, table)
    replicas = replicas_of(routed, experts)
    weight, rows = replica_weight(coactivation, replicas), torus.row(replicas.device)
    mean = load.mean(axis=0) / np.bincount(table[table >= 0], minlength=load.shape[1])
    carried = np.where(fixed >= 0, mean[-1], 0.0).sum(axis=1)
    limit = (1 + worse) * largest_load(table, load)
    best, least = table, cut_weight(weight, rows)
    for tolerance in TOLERANCES:
        for start in (None, rows):
            part = partition(weight, torus.rows, mean[replicas.expert], tolerance, start)
            if (np.bincount(part, minlength=torus.rows) > np.bincount(rows, minlength=torus.rows)).any():
                continue
            packed = _in_rows(fixed, replicas.expert, mean, part, carried, torus)
            cut = cut_weight(weight, part)
            if cut < least and largest_load(packed, load) <= limit:
                best, least = packed, cut
    # Exchanges within a row cut no more.
    rows = [best[row * torus.cols : (row + 1) * torus.cols] for row in range(torus.rows)]
    level = np.concatenate([levelled(row, mean, experts if shared else None) for row in rows])
    return min(best, level, key=lambda table: largest_load(table, load))


def largest_load(table: np.ndarray, load: np.ndarray) -> float:
    """The mean over batches of the largest load of a device, when replicas serve an expert's tokens in turn.

    table: [device, slot], -1 empty; load: tokens [batch, expert], of every expert in the table.
    """
    return float(even_loads(table, load).max(axis=1).mean())


def _in_rows(
    fixed: np.ndarray, expert: np.ndarray, share: np.ndarray, part: np.ndarray, carried: np.ndarray, torus: Torus
) -> np.ndarray:
    """Fill each row's empty slots with its replicas, heaviest first."""
    table = fixed.copy()
    for row in range(torus.rows):
        devices = slice(row * torus.cols, (row + 1) * torus.cols)
        experts = expert[part == row]
        table[devices] = heaviest_first(experts, share[experts], table[devices], carried[devices])
    return table
