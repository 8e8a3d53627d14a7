"""A layer's deployment table: an even split into replicas, the shared expert, packing, rows."""

from __future__ import annotations

import numpy as np

from planning.levelling import levelled
from planning.packing import deal_out, heaviest_first
from planning.replication import one_more, replicas_by_blocks, replicas_by_load

from ..serving.cost import BLOCK
from ..serving.torus import Torus


def even_table(
    load: np.ndarray,
    torus: Torus,
    slots_per_device: int = 3,
    shared: bool | str = True,
    replicate: str = "load",
    pack: str = "heaviest",
    spread: bool = False,
    exchanges: bool = True,
    *,
    top_k: int | None = None,
) -> np.ndarray:
    """Replicate and pack one layer.

    load: routed experts' tokens [batch, expert]; shared: whether the expert with the next id gets a replica in every
    row, columns in turn, or "ordinary" for as many replicas as its load earns; replicate: "load" (even split), "blocks"
    (by 32 tokens) or "single" (one more each, in turn); pack: "heaviest" or "pairs"; spread: heaviest first, replicas
    of an expert on rows that have none, as long as there are such; exchanges: whether heaviest first is followed by
    exchanges with the busiest device; top_k: routed experts of a token, from which the shared one's load follows.
    Returns int64 [device, slot]. Raises ValueError for too few slots, unknown words, or a shared expert without top_k.
    """
    if shared not in (True, False, "ordinary"):
        raise ValueError(f"shared is True, False or 'ordinary', got {shared!r}")
    if pack not in ("heaviest", "pairs"):
        raise ValueError(f"pack is heaviest or pairs, got {pack!r}")
    if shared and top_k is None:
        raise ValueError("the shared expert's load follows from top_k, got none; expected routed experts of a token")
    load = np.atleast_2d(np.asarray(load))
    tokens = load.sum(axis=1, keepdims=True) / min(top_k or 1, load.shape[1])
    if shared == "ordinary":
        load, shared = np.hstack([load, tokens]), False
    experts, total = load.shape[1], torus.devices * slots_per_device
    table = np.full((torus.devices, slots_per_device), -1, np.int64)
    carried = np.zeros(torus.devices)
    if shared:
        rows = np.arange(torus.rows)
        devices = rows * torus.cols + rows % torus.cols
        table[devices, 0] = experts
        total -= torus.rows
    mean = load.mean(axis=0)
    if replicate == "blocks":
        replicas = replicas_by_blocks(load, total)
        blocks = np.ceil(load / BLOCK)
        weight = np.ceil(blocks / replicas).mean(axis=0) + 1e-6 * mean / replicas
    elif replicate in ("load", "single"):
        replicas = replicas_by_load(mean, total) if replicate == "load" else one_more(mean, total)
        weight = mean / replicas
    else:
        raise ValueError(f"replicate is load, blocks or single, got {replicate!r}")
    if shared:
        # Every token takes the shared expert, in its own row.
        share = tokens.mean() / torus.rows
        share = np.ceil(share / BLOCK) if replicate == "blocks" else share
        carried[devices] += share
    ids = np.repeat(np.arange(experts), replicas)
    rows = torus.row(np.arange(torus.devices))
    if pack == "pairs":
        return deal_out(ids, weight[ids], table, carried)
    packed = heaviest_first(ids, weight[ids], table, carried, rows if spread else None)
    if exchanges:
        packed = levelled(packed, np.append(weight, share), experts) if shared else levelled(packed, weight)
    return _apart(packed, rows, weight) if spread else packed


def _apart(table: np.ndarray, rows: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Exchange replicas that share a row with their like for those of nearest weight that may go there and come."""
    table, flat_row = table.copy(), np.repeat(rows, table.shape[1])
    flat, weight = table.reshape(-1), np.append(weight, np.inf)
    for slot in range(flat.size):
        expert = flat[slot]
        if expert < 0 or np.count_nonzero(flat[flat_row == flat_row[slot]] == expert) < 2:
            continue
        taken = flat_row[flat == expert]
        here = flat[flat_row == flat_row[slot]]
        others = [
            other
            for other in range(flat.size)
            if flat[other] >= 0
            and flat_row[other] not in taken
            and flat[other] not in here
            and flat[other] < len(weight) - 1
        ]
        if others:
            other = min(others, key=lambda other: abs(weight[flat[other]] - weight[expert]))
            flat[slot], flat[other] = flat[other], expert
    return table
