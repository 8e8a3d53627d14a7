"""Routers: which replica of its expert serves a choice. Pure functions of batches, replicas and hints.

Each returns int64 [token, choice], indices into the replicas. Online controls: they see one batch at a time, or hints
from earlier ones, and never change the deployment table.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..traces.batches import Batches
from .cost import BLOCK
from .replicas import Replicas
from .torus import Torus


def first_copy(batches: Batches, replicas: Replicas) -> np.ndarray:
    """Always the first replica: plain top-k. The name is that of --router and of the matrix."""
    return replicas.first[batches.choices]


def round_robin(batches: Batches, replicas: Replicas) -> np.ndarray:
    """An expert's tokens of a batch in turn over its replicas, so that their loads differ by one at most."""
    return replicas.first[batches.choices] + batches.occurrence % replicas.count[batches.choices]


def block_aligned(batches: Batches, replicas: Replicas, block: int = BLOCK) -> np.ndarray:
    """Whole blocks of tokens in turn over the replicas, so that no replica multiplies a partial block but the last."""
    return replicas.first[batches.choices] + batches.occurrence // block % replicas.count[batches.choices]


def row_blocks(batches: Batches, replicas: Replicas, block: int = BLOCK) -> np.ndarray:
    """Whole blocks of an expert's tokens to its replicas, the tokens in the order of their rows.

    So a replica serves tokens of neighbouring rows, as far as whole blocks allow: of `blocks` blocks, number n goes to
    replica n * replicas // blocks. Which rows a replica serves depends on its place in the list, not on its device.
    """
    order = np.lexsort((batches.origins, batches.batch_of_token))
    place = np.empty(batches.choices.shape, np.int64)
    place[order] = replace(batches, choices=batches.choices[order], origins=batches.origins[order]).occurrence
    blocks = -(-batches.load[batches.batch_of_token[:, None], batches.choices] // block)
    return replicas.first[batches.choices] + place // block * replicas.count[batches.choices] // blocks


def capacity_first_fit(batches: Batches, replicas: Replicas, capacity: int) -> np.ndarray:
    """The first replica with room; when all are full, round robin over them: nothing is dropped.

    Closed form of the sequential rule: with n earlier tokens of the expert in the batch and R replicas, replica
    n // capacity while n < R * capacity, then (n - R * capacity) mod R. capacity: tokens per replica and batch.
    """
    count = replicas.count[batches.choices]
    over = batches.occurrence - count * capacity
    return replicas.first[batches.choices] + np.where(over < 0, batches.occurrence // capacity, over % count)


def even_capacity(batches: Batches, replicas: Replicas, factor: float = 2.0) -> int:
    """Tokens per replica: factor times what an even spread gives, from the mean number of tokens per batch."""
    tokens = len(batches.choices) // batches.count
    return max(1, int(factor * tokens * batches.choices.shape[1] / len(replicas.slot)))


def first_fit(batches: Batches, replicas: Replicas) -> np.ndarray:
    """Capacity first-fit at twice the even share."""
    return capacity_first_fit(batches, replicas, even_capacity(batches, replicas))


def least_loaded(batches: Batches, replicas: Replicas, age: int = 0, block: int = BLOCK) -> np.ndarray:
    """Whole blocks of tokens to the replicas on the devices with the fewest blocks.

    Experts of one replica come first, then those with the most blocks per replica; every block goes to the device that
    has least. The shares are those of the batch `age` batches earlier (0: this one); the first `age` batches go evenly.
    block: tokens that are computed in the time of one; 1 levels tokens.
    """
    blocks = -(-batches.load // block)
    quota = np.stack([levelled_blocks(load, replicas) for load in blocks])
    if age:
        stale = np.concatenate([np.ones((min(age, batches.count), quota.shape[1])), quota[:-age]])
        quota = np.where(_per_expert(stale, replicas) > 0, stale, 1)
    # A replica serves the blocks whose number among the expert's lies in the replica's part of the whole.
    upper = np.cumsum(quota, axis=1)
    total = _per_expert(quota, replicas)
    before = upper[:, replicas.first[:-1]] - quota[:, replicas.first[:-1]]
    upper = (upper - np.repeat(before, replicas.count, axis=1)) / np.maximum(total, 1)
    batch = batches.batch_of_token[:, None]
    place = (batches.occurrence // block + 0.5) / blocks[batch, batches.choices]
    result = replicas.first[batches.choices]
    last = replicas.first[batches.choices + 1] - 1
    for _ in range(int(replicas.count.max()) - 1):
        result = np.where((result < last) & (place > upper[batch, result]), result + 1, result)
    return result


def _per_expert(values: np.ndarray, replicas: Replicas) -> np.ndarray:
    """The sums of values [batch, replica] over each expert's replicas, at every replica."""
    return np.repeat(np.add.reduceat(values, replicas.first[:-1], axis=1), replicas.count, axis=1)


def levelled_blocks(blocks: np.ndarray, replicas: Replicas) -> np.ndarray:
    """Blocks of each replica when every expert in turn levels the devices of its replicas, twice: int64 [replica].

    blocks: int64 [expert].
    """
    several = replicas.count > 1
    quota = np.where(several, 0, blocks)[replicas.expert]
    # Plain numbers of Python: an expert has a handful of replicas, for which numpy is slower.
    heights = np.bincount(replicas.device, quota, minlength=len(replicas.table)).astype(np.int64).tolist()
    result, device, first = quota.tolist(), replicas.device.tolist(), replicas.first.tolist()
    order = [int(expert) for expert in np.argsort(-blocks / replicas.count, kind="stable") if several[expert]]
    for _ in range(2):
        for expert in order:
            serving = range(first[expert], first[expert + 1])
            for replica in serving:
                heights[device[replica]] -= result[replica]
                result[replica] = 0
            for _ in range(int(blocks[expert])):
                lowest = min(serving, key=lambda replica: heights[device[replica]])
                heights[device[lowest]] += 1
                result[lowest] += 1
    return np.array(result)


def same_row_first(batches: Batches, replicas: Replicas, torus: Torus, threshold: float = 1.0) -> np.ndarray:
    """The replica in the token's own row, until it holds `threshold` times an even share; the rest round robin.

    threshold: 0 ignores rows, infinity never spills. A choice without a replica in its row goes round robin too.
    """
    experts, size = len(replicas.count), len(replicas.slot)
    in_row = own_row(batches, replicas, torus)
    batch = np.broadcast_to(batches.batch_of_token[:, None], in_row.shape)
    share = batches.load[batch, batches.choices] / replicas.count[batches.choices]
    stays = (in_row >= 0) & (earlier(batch * size + in_row, in_row >= 0) < threshold * share)
    spilled = earlier(batch * experts + batches.choices, ~stays)
    return np.where(stays, in_row, replicas.first[batches.choices] + spilled % replicas.count[batches.choices])


def own_row(batches: Batches, replicas: Replicas, torus: Torus) -> np.ndarray:
    """The first replica of each choice's expert in the row that the token comes from, or -1: int64 [token, choice]."""
    local = np.full((torus.rows, len(replicas.count)), -1)
    backwards = np.arange(len(replicas.slot))[::-1]
    local[torus.row(replicas.device[backwards]), replicas.expert[backwards]] = backwards
    return local[batches.origins[:, None], batches.choices]


def earlier(keys: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """How many counted entries of the same key come before each counted entry; 0 for the others."""
    result = np.zeros(keys.shape, np.int64)
    chosen = keys[counted]
    order = np.argsort(chosen, kind="stable")
    ordered = chosen[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    runs = np.diff(np.append(starts, len(ordered)))
    ranks = np.empty(len(chosen), np.int64)
    ranks[order] = np.arange(len(chosen)) - np.repeat(starts, runs)
    result[counted] = ranks
    return result
