"""The methods that the matrix compares: how each plans and routes, and when it could run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from planning.packing import heaviest_first, pairs
from planning.replication import replicas_by_load

from ..planning.even import even_table
from ..planning.published import published_table
from ..search.two_stage import two_stage
from ..serving.cost import BLOCK, COMPAT, Preset, latency
from ..serving.measures import even_par
from ..serving.replicas import Replicas, replicas_of
from ..serving.routers import Router
from ..serving.routing import block_aligned, first_fit, least_loaded, round_robin, row_blocks
from ..serving.torus import Torus
from ..traces.batches import Batches
from .intervals import statistic

# The objective that asks neither a router nor the cost model.
PAR = "par"


@dataclass(frozen=True)
class Setting:
    """What a method plans for.

    slots: per device; shared: whether every token also takes the shared expert, which has a replica in every row;
    replicated: whether routed experts may have several replicas; objective: a name of intervals.STATISTICS, of latency,
    or PAR, of even_par.
    """

    torus: Torus
    slots: int
    shared: bool
    preset: Preset = COMPAT
    swaps: int = 4000
    seed: int = 0
    replicated: bool = True
    objective: str = "mean"


@dataclass(frozen=True)
class Planned:
    """The replicas of a deployment table and the router that it was made for."""

    replicas: Replicas
    router: Router


@dataclass(frozen=True)
class Method:
    """One row. run: online (per batch), nearline (between batches) or offline; plan: (batches, setting) -> Planned."""

    row: str
    name: str
    run: str
    plan: Callable[[Batches, Setting], Planned]


def _consecutive(batches: Batches, setting: Setting) -> Planned:
    """As many experts to each device, as far as slots allow, in the order of their ids."""
    table, experts = _shared_only(batches, setting), batches.experts - setting.shared
    device, slot = np.nonzero(table < 0)
    # The shared expert has the first slot of its device, so slots are filled from the last one.
    chosen = np.sort(np.lexsort((device, -slot))[:experts])
    table[device[chosen], slot[chosen]] = np.arange(experts)
    return Planned(replicas_of(table, batches.experts), row_blocks)


def _pairs(batches: Batches, setting: Setting) -> Planned:
    """The hottest with the coldest, which is for two experts on a device."""
    table = _shared_only(batches, setting)
    for device, experts in enumerate(pairs(_routed_load(batches, setting).sum(axis=0), len(table))):
        table[device, np.flatnonzero(table[device] < 0)[:2]] = experts
    return Planned(replicas_of(table, batches.experts), row_blocks)


def _single(batches: Batches, setting: Setting) -> Planned:
    """Every routed expert once, that of the most blocks first: what a device takes grows by blocks, not by tokens."""
    blocks, table = _blocks(batches), _shared_only(batches, setting)
    carried = (table >= 0).sum(axis=1) * (blocks[-1] / setting.torus.rows)
    routed = np.arange(batches.experts - setting.shared)
    table = heaviest_first(routed, blocks[routed], table, carried)
    return Planned(replicas_of(table, batches.experts), row_blocks)


def _published(batches: Batches, setting: Setting) -> Planned:
    table, order = published_table(batches, setting.torus, setting.slots)
    return Planned(replicas_of(table, batches.experts, order), first_fit)


def _one_more(batches: Batches, setting: Setting) -> Planned:
    return Planned(_even(batches, setting, "single"), round_robin)


def _even(batches: Batches, setting: Setting, replicate: str = "load") -> Replicas:
    load = _routed_load(batches, setting)
    top_k = batches.choices.shape[1] - setting.shared
    table = even_table(load, setting.torus, setting.slots, setting.shared, replicate, top_k=top_k)
    return replicas_of(table, batches.experts)


def _filled(batches: Batches, setting: Setting) -> Planned:
    """Every routed expert once, heaviest first, and then more replicas into the slots that are left.

    The routers begin with the first ones, so that an expert of few tokens costs one block, and that where devices hold
    equally many experts.
    """
    single = _single(batches, setting).replicas.table
    blocks = _blocks(batches)[: batches.experts - setting.shared]
    replicas = replicas_by_load(blocks, len(blocks) + int((single < 0).sum()))
    ids, weight = np.repeat(np.arange(len(blocks)), replicas - 1), blocks / replicas
    carried = np.append(weight, np.zeros(1 + setting.shared))[single].sum(axis=1)
    table = heaviest_first(ids, weight[ids], single, carried)
    order = np.arange(table.size).reshape(table.shape) + table.size * (single < 0)
    return Planned(replicas_of(table, batches.experts, order), row_blocks)


def _two_stage(batches: Batches, setting: Setting) -> Planned:
    """Stage A: the better two of three replications; stage B: swaps. Never worse than nearline where it plans."""
    if setting.replicated:
        starts = [Planned(_even(batches, setting, replicate), row_blocks) for replicate in ("blocks", "load")]
        starts = sorted([*starts, _filled(batches, setting)], key=lambda start: _value(start, batches, setting))[:2]
    else:
        starts = [_single(batches, setting)]
    candidates = []
    for start in starts:
        how = (setting.torus, setting.preset, setting.swaps, setting.seed)
        better = two_stage(batches, start.replicas, start.router, *how, objective=setting.objective)
        candidates.append(Planned(better, start.router))
    # Where both are equal, the searched one is kept.
    return _best([*candidates, _nearline(batches, setting)], batches, setting)


def _nearline(batches: Batches, setting: Setting) -> Planned:
    """The best of the tables and routers that take milliseconds, measured on the batches that they were made from.

    No single one always wins: where batches are small, first-fit leaves replicas of cold experts idle, which saves
    blocks, and any table may be lucky.
    """
    if setting.replicated:
        even = _even(batches, setting)
        quick = (row_blocks, least_loaded, round_robin, first_fit, block_aligned)
        candidates = [*(Planned(even, router) for router in quick), _filled(batches, setting)]
        if setting.shared:
            candidates.append(_published(batches, setting))
        if setting.objective == PAR:
            candidates.append(_one_more(batches, setting))
    else:
        candidates = [_consecutive(batches, setting), _single(batches, setting)]
        if 2 * setting.torus.devices == batches.experts - setting.shared:
            candidates.append(_pairs(batches, setting))
    return _best(candidates, batches, setting)


def _best(candidates: list[Planned], batches: Batches, setting: Setting) -> Planned:
    return min(candidates, key=lambda planned: _value(planned, batches, setting))


def _value(planned: Planned, batches: Batches, setting: Setting) -> float:
    """The setting's objective on the batches."""
    if setting.objective == PAR:
        return float(even_par(planned.replicas.table, batches.load).mean())
    routed = planned.router(batches, planned.replicas)
    total = latency(batches, planned.replicas, routed, setting.torus, setting.preset).total
    return float(statistic(total, setting.objective))


def _routed_load(batches: Batches, setting: Setting) -> np.ndarray:
    """Load [batch, expert] without the shared expert."""
    return batches.load[:, : batches.experts - setting.shared]


def _blocks(batches: Batches) -> np.ndarray:
    """Mean blocks of tokens of each expert, of equal ones more where it has more tokens: float64 [expert]."""
    return np.ceil(batches.load / BLOCK).mean(axis=0) + 1e-6 * batches.load.mean(axis=0)


def _shared_only(batches: Batches, setting: Setting) -> np.ndarray:
    """A table [device, slot] with the shared expert in every row, where there is one, and empty slots."""
    torus = setting.torus
    table = np.full((torus.devices, setting.slots), -1, np.int64)
    if setting.shared:
        rows = np.arange(torus.rows)
        table[rows * torus.cols + rows % torus.cols, 0] = batches.experts - 1
    return table


PLACEMENT_ONLY = (
    Method("baseline", "consecutive", "offline", _consecutive),
    Method("baseline", "pairs", "nearline", _pairs),
    Method("nearline", "best of quick plans", "nearline", _nearline),
    Method("offline", "two-stage", "offline", _two_stage),
)
ONE_MORE = Method("baseline", "+1 copies, heaviest first", "nearline", _one_more)
REPLICATED = (
    Method("baseline", "published, +1 copies", "nearline", _published),
    Method("nearline", "best of quick plans", "nearline", _nearline),
    Method("offline", "two-stage", "offline", _two_stage),
)
