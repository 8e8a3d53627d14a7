"""The methods that the matrix compares: how each plans and routes, and when it could run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from planning.packing import pairs

from ..planning.even import even_table
from ..planning.published import published_table
from ..search.two_stage import two_stage
from ..serving.cost import COMPAT, Preset, latency
from ..serving.replicas import Replicas, replicas_of
from ..serving.routing import block_aligned, first_copy, first_fit, least_loaded, round_robin
from ..serving.torus import Torus
from ..traces.batches import Batches

Router = Callable[[Batches, Replicas], np.ndarray]


@dataclass(frozen=True)
class Setting:
    """What a method plans for. slots: per device; shared: whether every token also takes the shared expert."""

    torus: Torus
    slots: int
    shared: bool
    preset: Preset = COMPAT
    swaps: int = 4000
    seed: int = 0


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
    devices, slots = setting.torus.devices, setting.slots
    filled = np.append(np.arange(batches.experts), np.full(devices * slots - batches.experts, -1))
    return Planned(replicas_of(filled.reshape(devices, slots), batches.experts), first_copy)


def _pairs(batches: Batches, setting: Setting) -> Planned:
    return Planned(replicas_of(pairs(batches.load.sum(axis=0), setting.torus.devices), batches.experts), first_copy)


def _published(batches: Batches, setting: Setting) -> Planned:
    table, order = published_table(batches, setting.torus, setting.slots)
    return Planned(replicas_of(table, batches.experts, order), first_fit)


def _even(batches: Batches, setting: Setting) -> Planned:
    table = even_table(_routed_load(batches, setting), setting.torus, setting.slots, shared=setting.shared)
    return Planned(replicas_of(table, batches.experts), least_loaded)


def _two_stage(batches: Batches, setting: Setting) -> Planned:
    """Stage A: both replications; stage B: swaps. Never worse than the nearline method where it plans."""
    candidates = []
    for replicate, router in (("blocks", block_aligned), ("load", round_robin)):
        table = even_table(
            _routed_load(batches, setting), setting.torus, setting.slots, shared=setting.shared, replicate=replicate
        )
        replicas = replicas_of(table, batches.experts)
        best = two_stage(batches, replicas, router, setting.torus, setting.preset, setting.swaps, setting.seed)
        candidates.append(Planned(best, router))
    # Where both are equal, the searched one is kept.
    return _best([*candidates, _nearline(batches, setting)], batches, setting)


def _nearline(batches: Batches, setting: Setting) -> Planned:
    """The best of the tables and routers that take milliseconds, measured on the batches that they were made from.

    No single one always wins: where batches are small, first-fit leaves replicas of cold experts idle, which saves
    blocks, and any table may be lucky.
    """
    even = _even(batches, setting)
    candidates = [even, *(Planned(even.replicas, router) for router in (round_robin, first_fit, block_aligned))]
    if setting.shared:
        candidates.append(_published(batches, setting))
    else:
        candidates.append(_consecutive(batches, setting))
        if setting.slots == 2:
            candidates.append(_pairs(batches, setting))
    return _best(candidates, batches, setting)


def _best(candidates: list[Planned], batches: Batches, setting: Setting) -> Planned:
    def mean(planned: Planned) -> float:
        routed = planned.router(batches, planned.replicas)
        return float(latency(batches, planned.replicas, routed, setting.torus, setting.preset).total.mean())

    return min(candidates, key=mean)


def _routed_load(batches: Batches, setting: Setting) -> np.ndarray:
    """Load [batch, expert] without the shared expert."""
    return batches.load[:, : batches.experts - setting.shared]


PLACEMENT_ONLY = (
    Method("baseline", "consecutive", "offline", _consecutive),
    Method("baseline", "pairs", "nearline", _pairs),
    Method("nearline", "best of quick plans", "nearline", _nearline),
    Method("offline", "two-stage", "offline", _two_stage),
)
REPLICATED = (
    Method("baseline", "published, +1 copies", "nearline", _published),
    Method("nearline", "best of quick plans", "nearline", _nearline),
    Method("offline", "two-stage", "offline", _two_stage),
)
