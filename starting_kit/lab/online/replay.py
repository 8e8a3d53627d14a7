"""Batches in the order of time, under a plan that is replaced every so many batches."""

from __future__ import annotations

import time
from dataclasses import dataclass, fields, replace

import numpy as np

from ..serving.cost import COMPAT, Preset, latency
from ..serving.replicas import Replicas, replicas_of
from ..serving.torus import Torus
from ..traces.batches import Batches
from .controls import Control
from .replanners import Replanner
from .transfer import moved_slots


@dataclass(frozen=True)
class Rules:
    """When a plan is replaced, and what controls are told.

    every: batches, None for never; age: of the batch whose load the hints are; budget: slots that may change in a
    replan, None for all.
    """

    every: int | None = None
    age: int = 0
    budget: int | None = None


@dataclass(frozen=True, eq=False)
class Served:
    """What serving took, all by batch.

    latency: us, float64 [batch]; moved: slots of each device that got another expert before the batch, int64 [batch,
    device]; cross_row: share of choices served in another row than the token's own; planning, routing: measured
    seconds of a processor, float64 [batch].
    """

    latency: np.ndarray
    moved: np.ndarray
    cross_row: np.ndarray
    planning: np.ndarray
    routing: np.ndarray


def replay(
    batches: Batches,
    known: int,
    replan: Replanner,
    control: Control,
    rules: Rules,
    torus: Torus,
    preset: Preset = COMPAT,
) -> Served:
    """Serve the batches after the first `known` ones, whose plan is made from those.

    The first plan is what the replanner makes of the known batches; it is replaced before the batches known + every,
    known + 2 * every ... Replanners get loads of batches that were served, controls one batch; what they get cannot be
    written. Raises ValueError for a table that lacks an expert or changes more slots than the budget, and for a control
    that serves a choice by a replica of another expert.
    """
    load = batches.load
    table = frozen(replan(frozen(load[:known]), None, None))
    plan = frozen_plan(table, batches.experts)
    count = batches.count - known
    times, cross_row, planning, routing = np.zeros((4, count))
    moved = np.zeros((count, torus.devices), np.int64)
    for at in range(count):
        now = known + at
        if rules.every and at and at % rules.every == 0:
            begun = time.process_time()
            after = frozen(replan(frozen(load[:now]), table, rules.budget))
            planning[at] = time.process_time() - begun
            moved[at] = moved_slots(table, after)
            if rules.budget is not None and moved[at].sum() > rules.budget:
                changed = f"a replan changed {moved[at].sum()} slots"
                raise ValueError(f"batch {now}: {changed}; expected at most {rules.budget}")
            table, plan = after, frozen_plan(after, batches.experts)
        one = frozen_batch(batches.select(now, now + 1))
        hints = frozen(load[now - rules.age]) if rules.age <= now else None
        begun = time.process_time()
        routed = control(replace(one), replace(plan), hints)
        routing[at] = time.process_time() - begun
        if (plan.expert[routed] != one.choices).any():
            raise ValueError(f"batch {now}: a control served a choice by a replica of another expert")
        times[at] = latency(one, plan, routed, torus, preset).total[0]
        cross_row[at] = (torus.row(plan.device[routed]) != one.origins[:, None]).mean()
    return Served(times, moved, cross_row, planning, routing)


def frozen(values: np.ndarray) -> np.ndarray:
    """A copy that nobody can write, nor make writeable."""
    return np.frombuffer(np.ascontiguousarray(values).tobytes(), values.dtype).reshape(values.shape)


def frozen_plan(table: np.ndarray, experts: int) -> Replicas:
    """The replicas of a deployment table, in arrays that cannot be written."""
    plan = replicas_of(table, experts)
    return Replicas(*(frozen(getattr(plan, field.name)) for field in fields(plan)))


def frozen_batch(batch: Batches) -> Batches:
    """The same in arrays that cannot be written."""
    return Batches(batch.experts, *(frozen(values) for values in (batch.choices, batch.origins, batch.starts)))
