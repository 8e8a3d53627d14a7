"""Yardsticks tighter than clairvoyant DS-EPLB: placements searched in hindsight, and a balancer of every batch.

All as clairvoyant DS-EPLB is measured: the initial deployment until its first call, then moves are free, and all layers
are redeployed at once. The search knows the iterations: it begins with DS-EPLB's plan of their sums and with plans by
risk, with the champion's weights on all that was seen. It exchanges experts as long as the mean PAR of these very
iterations falls. It finds no optimum, so the best placement is at least as good.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import pairwise

import numpy as np

from placement.balance import par
from placement.clairvoyant import clairvoyant_par, ds_eplb_calls
from placement.deployment import initial_deployment, replica_counts
from placement.ds_eplb import ds_eplb
from placement.grid import Case, Cost
from placement.replay import replay
from placement.results import mean_par, measures
from placement.trace import Trace
from planning.exchange import exchange
from planning.memory import Memory
from planning.placing import place_by_risk
from planning.risk import Forecast, expected_maximum
from scores.modeled_runtime import case_score
from traces.reference import decline, ds_eplb_policy

# The champion's.
NOISE, ALONE, TOGETHER, REPLICAS_FOR, EXCHANGES = 1.0, 3.0, 2.5, (0.0, 0.5, 1.0), 150
# Exchanges are tried on about so many iterations, and made when they lower the mean over all by so much.
SAMPLE, LEAST = 512, 1e-5
# How many of the devices that are most often the busiest are tried before a layer is done.
TRIED = 4
# Iterations planned at a time, each for itself.
BATCHES = 32

# The tables [layer, device, slot] for the iterations first .. last - 1 (from 0).
Plan = Callable[[int, int], np.ndarray]


def yardsticks(trace: Trace, case: Case, cost: Cost) -> list[tuple[str, str, float, float]]:
    """For DS-EPLB and each yardstick: the case, the name, mean PAR, case score. The trace must fit the case."""
    baseline = replay(trace, case, ds_eplb_policy(trace, case))
    pars = {
        "clairvoyant DS-EPLB": clairvoyant_par(trace, case),
        "one placement, in hindsight": fixed_par(trace, case),
        "one for each cycle, in hindsight": cycles_par(trace, case),
        "DS-EPLB for each iteration": batches_par(trace, case),
    }
    reference = {"cost": asdict(cost), **measures(baseline, trace)}
    rows = {"DS-EPLB": reference}
    rows |= {name: reference | {"mean_par": mean_par(found), "transmit_amount": 0} for name, found in pars.items()}
    return [(case.name, name, row["mean_par"], case_score(row, reference)) for name, row in rows.items()]


def fixed_par(trace: Trace, case: Case, steps: int = EXCHANGES) -> np.ndarray:
    """PAR with one searched placement from the first call on: float64 [iteration, layer]."""
    return _planned(trace, case, [case.window + 1], lambda first, last: searched(trace, case, first, last, steps))


def cycles_par(trace: Trace, case: Case, steps: int = EXCHANGES) -> np.ndarray:
    """PAR with a searched placement for each of DS-EPLB's cycles: float64 [iteration, layer]."""
    calls = ds_eplb_calls(case, trace.iterations - 1)
    return _planned(trace, case, calls, lambda first, last: searched(trace, case, first, last, steps))


def batches_par(trace: Trace, case: Case) -> np.ndarray:
    """PAR with DS-EPLB's plan of each iteration's own hotness, from the first call on: float64 [iteration, layer]."""
    result = replay(trace, case, decline).par
    for first in range(case.window + 1, trace.iterations, BATCHES):
        several = trace.expert_major[:, :, first : first + BATCHES].transpose(2, 0, 1)
        hotness = several.reshape(-1, case.experts)
        table = ds_eplb(hotness, case.devices, case.redundant_experts, case.groups, case.nodes)
        row = np.arange(len(table))[:, None, None]
        replicas = np.bincount((row * case.experts + table).ravel(), minlength=hotness.size).reshape(hotness.shape)
        loads = (hotness / replicas)[row, table].sum(axis=2)
        result[first : first + BATCHES] = (loads.max(axis=1) * case.devices / hotness.sum(axis=1)).reshape(
            len(several), case.layers
        )
    return result


def searched(trace: Trace, case: Case, first: int, last: int, steps: int = EXCHANGES) -> np.ndarray:
    """The best tables found for the iterations first .. last - 1 (from 0), each layer for itself."""
    sums = trace.expert_major[:, :, first:last].sum(axis=2, dtype=np.int64)
    plans = [ds_eplb(sums, case.devices, case.redundant_experts, case.groups, case.nodes)]
    forecast = _known(trace, case, first, last)
    for part in REPLICAS_FOR:
        table = place_by_risk(forecast, case.devices, case.redundant_experts, part)
        plans.append(exchange(forecast, table, EXCHANGES))
    best = np.empty_like(plans[0])
    for layer in range(case.layers):
        hotness, totals = trace.expert_major[layer, :, first:last], trace.totals[layer, first:last]
        starts = [plan[layer] for plan in plans]
        start = min(starts, key=lambda rows: par(hotness, totals, rows).mean())
        best[layer] = improved(hotness, totals, start, steps)
    return best


def improved(hotness: np.ndarray, totals: np.ndarray, rows: np.ndarray, steps: int) -> np.ndarray:
    """Rows [device, slot] after at most `steps` exchanges, each of which lowers the mean PAR.

    hotness: [expert, iteration] of one layer; totals: its sums. No device comes to hold an expert twice.
    """
    rows, devices = rows.copy(), len(rows)
    if devices == 1:
        return rows
    # Loads in units of a device's mean, so that the largest is the PAR.
    parts = hotness * (devices / totals) / replica_counts(rows, len(hotness))[:, None]
    loads = parts[rows].sum(axis=1)
    some = parts[:, :: max(1, len(totals) // SAMPLE)].astype(np.float32)
    now = loads.max(axis=0).mean()
    for _ in range(steps):
        often = np.bincount(loads.argmax(axis=0), minlength=devices)
        for device in np.argsort(-often, kind="stable")[:TRIED]:
            slot, other, its_slot = best_exchange(some, some[rows].sum(axis=1), rows, device)
            change = parts[rows[other, its_slot]] - parts[rows[device, slot]]
            after = loads.copy()
            after[device] += change
            after[other] -= change
            if (value := after.max(axis=0).mean()) < now - LEAST:
                break
        else:
            return rows
        rows[device, slot], rows[other, its_slot] = rows[other, its_slot], rows[device, slot]
        loads, now = after, value
    return rows


def best_exchange(parts: np.ndarray, loads: np.ndarray, rows: np.ndarray, device: int) -> tuple[int, int, int]:
    """The slot of a device, the other device and its slot whose exchange leaves the least mean PAR.

    parts: load of one replica [expert, iteration]; loads: [device, iteration]; rows: [device, slot]. The device's own
    first slot, twice, where no exchange keeps experts apart.
    """
    others = np.delete(np.arange(len(rows)), device)
    theirs, mine, rest = rows[others], rows[device], loads[others]
    # Of the largest load beside the two that exchange, only the two largest of the rest may be.
    two = np.partition(np.concatenate([rest, np.zeros_like(rest[:1])]), -2, axis=0)[-2:]
    beside = np.where(rest.argmax(axis=0) == np.arange(len(rest))[:, None], two[0], two[1])
    change = parts[theirs][:, None] - parts[mine][:, None]  # [other, slot, its slot, iteration]
    value = np.maximum(loads[device] + change, rest[:, None, None] - change)
    value = np.maximum(value, beside[:, None, None], out=value).mean(axis=3)
    twice = (theirs[:, :, None] == mine).any(axis=1)[:, :, None] | np.isin(theirs, mine)[:, None]
    value[twice] = np.inf
    other, slot, its_slot = np.unravel_index(value.argmin(), value.shape)
    if twice[other, slot, its_slot]:
        return 0, device, 0
    return int(slot), int(others[other]), int(its_slot)


def _known(trace: Trace, case: Case, first: int, last: int) -> Forecast:
    """What the champion would forecast, had it seen these iterations."""
    memory = Memory(case.layers, case.experts)
    for start in range(first, last, case.window):
        memory.add(trace.window(start, min(start + case.window, last)))
    loadings = memory.loadings()
    variance = memory.variance() + ALONE * memory.alone(loadings)
    return Forecast(memory.load(), variance, loadings, NOISE * expected_maximum(case.devices), TOGETHER)


def _planned(trace: Trace, case: Case, calls: Sequence[int], plan: Plan) -> np.ndarray:
    """PAR of the initial deployment until the first call, and of a plan from each call to the next or the end."""
    measured = np.empty((trace.iterations, case.layers))
    table = initial_deployment(case.layers, case.experts, case.devices, case.redundant_experts)
    for start, stop in pairwise([0, *(call for call in calls if call < trace.iterations), trace.iterations]):
        if start:
            table = plan(start, stop)
        for layer, rows in enumerate(table):
            hotness, totals = trace.expert_major[layer, :, start:stop], trace.totals[layer, start:stop]
            measured[start:stop, layer] = par(hotness, totals, rows)
    return measured
