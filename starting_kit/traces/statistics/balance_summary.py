"""PAR of a trace at one size: what the static deployment and DS-EPLB reach, and what nobody can go below by much."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from placement import balance
from placement.ds_eplb import ds_eplb
from placement.grid import Case
from placement.replay import Replay, replay
from placement.results import mean_par
from placement.trace import Trace

from ..reference import decline, ds_eplb_policy

SPAN = 128
SAMPLE = 64


class EpBalance(NamedTuple):
    """Figures of one ep and number of redundant experts; all PAR are means over iterations and layers.

    static, ds_eplb: whole trace; transmit_amount, calls: DS-EPLB's; after_first: DS-EPLB from each layer's first
    redeployment on, NaN when none was measured; noise_floor: DS-EPLB planned on the block it is measured on; packed:
    planned on the iteration it is measured on, on a sample; static_layers, ds_eplb_layers: float64 [layer], means
    over iterations; static_curve, ds_eplb_curve: float64 [iteration], means over layers.
    """

    ep: int
    redundant_experts: int
    static: float
    ds_eplb: float
    transmit_amount: int
    calls: int
    after_first: float
    noise_floor: float
    packed: float
    static_layers: np.ndarray
    ds_eplb_layers: np.ndarray
    static_curve: np.ndarray
    ds_eplb_curve: np.ndarray


def ep_balance(trace: Trace, case: Case) -> EpBalance:
    """Replay a trace with the static deployment and with DS-EPLB, and measure the two floors.

    The trace has the case's sizes and at least window + 2 iterations.
    """
    ep, redundant = case.ep, case.redundant_experts
    static, planned = replay(trace, case, decline), replay(trace, case, ds_eplb_policy(trace, case))
    return EpBalance(
        ep,
        redundant,
        mean_par(static.par),
        mean_par(planned.par),
        planned.transmit_amount,
        len(planned.calls),
        par_after_first(planned),
        noise_floor_par(trace, ep, redundant),
        packed_par(trace, ep, redundant),
        static.par.mean(axis=0),
        planned.par.mean(axis=0),
        static.par.mean(axis=1),
        planned.par.mean(axis=1),
    )


def par_after_first(planned: Replay) -> float:
    """Mean PAR of what was measured with a redeployed layer; NaN when nothing was."""
    first: dict[int, int] = {}
    for application in planned.applications:
        first.setdefault(application.layer, application.iteration)
    measured = [planned.par[iteration:, layer] for layer, iteration in first.items()]
    values = np.concatenate(measured) if measured else np.empty(0)
    return float(values.mean()) if values.size else float("nan")


def noise_floor_par(trace: Trace, ep: int, redundant: int, span: int = SPAN) -> float:
    """Mean PAR of DS-EPLB planned on the sums of the same `span` iterations it is measured on, moves free.

    What is left is noise within the block and the granularity of slots. The last block may be shorter.
    """
    total = 0.0
    for start in range(0, trace.iterations, span):
        block = trace.expert_major[:, :, start : start + span]
        totals = trace.totals[:, start : start + span]
        table = ds_eplb(block.sum(axis=2, dtype=np.int64), ep, redundant)
        total += sum(float(balance.par(*layer).sum()) for layer in zip(block, totals, table, strict=True))
    return total / (trace.iterations * trace.layers)


def packed_par(trace: Trace, ep: int, redundant: int, sample: int = SAMPLE) -> float:
    """Mean PAR of DS-EPLB (replicas, then longest processing time first) planned on each iteration itself.

    On `sample` iterations, evenly spread over the trace (fewer in a shorter one). What is left is granularity.
    """
    iterations = np.unique(np.linspace(0, trace.iterations - 1, sample).astype(np.int64))
    counts = trace.expert_major[:, :, iterations].transpose(2, 0, 1).reshape(-1, trace.experts)
    rows = ds_eplb(counts, ep, redundant).reshape(len(counts), -1)
    starts = np.arange(len(counts))[:, None] * trace.experts
    replicas = np.bincount((rows + starts).ravel(), minlength=counts.size).reshape(counts.shape)
    loads = np.take_along_axis(counts / replicas, rows, axis=1).reshape(len(counts), ep, -1).sum(axis=2)
    return float((loads.max(axis=1) * ep / counts.sum(axis=1)).mean())
