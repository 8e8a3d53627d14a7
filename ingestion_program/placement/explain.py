"""Why a case costs what it costs: heat map, costliest windows, the largest redeployment, what each call did."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from .balance import device_loads
from .deployment import initial_deployment, replica_counts
from .measuring import Application
from .par_rows import ParRows
from .replay import Replay
from .roll_out import fixed_iterations
from .shifts import shifts
from .trace import Hotness

BINS = 64
LISTED = 3
# A short window gives more calls than anybody reads.
CALLS = 100


def explain(replay: Replay, trace: Hotness) -> dict[str, Any]:
    """Everything the page needs to answer "why this score", in plain numbers for JSON.

    fixed_iterations: how many are the same for every policy;
    heat_map: PAR [layer][bin], each bin the mean over `bin_starts[b] ..` (iterations from 1);
    shifts: how far the loads shift at each bin (shifts.py);
    costliest_windows: the three stretches of `window` iterations after the fixed ones with the highest mean PAR, their
    three costliest layers, and what held the hottest device in each layer's worst iteration;
    largest_redeployment: device loads, relative to their mean, around its layer with the most changed slots;
    calls: the first CALLS of them; untouched_layers: how many were never redeployed.
    """
    starts = bin_starts(trace.iterations)
    return {
        "fixed_iterations": fixed_iterations(replay.case, trace.iterations),
        "bin_starts": (starts + 1).tolist(),
        "shifts": np.round(shifts(trace, starts), 4).tolist(),
        "heat_map": heat_map(replay.par).tolist(),
        "costliest_windows": _costliest_windows(replay, trace),
        "largest_redeployment": _largest_redeployment(replay, trace),
        "calls": _calls(replay),
        "untouched_layers": replay.case.layers - len({application.layer for application in replay.applications}),
    }


def _calls(replay: Replay) -> list[dict[str, Any]]:
    """What each call did, of the first CALLS.

    listed, applied: layers; changed: slots; par_before, par_after: mean PAR of the window before the call and of the
    one after its last layer, None where nothing was applied or nothing follows; repeating_devices: devices of all
    layers that hold an expert twice when the redeployment is over.
    """
    case, window = replay.case, replay.case.window
    live = initial_deployment(case.layers, case.experts, case.devices, case.redundant_experts)
    repeating = _repeating(live)
    applied: dict[int, list[Application]] = {}
    for application in replay.applications:
        applied.setdefault(application.call, []).append(application)
    table = []
    for number, (call, listed) in enumerate(zip(replay.calls[:CALLS], replay.listed, strict=False), 1):
        parts = applied.get(number, [])
        if parts:
            repeating[[part.layer for part in parts]] = _repeating(np.stack([part.rows for part in parts]))
        last = parts[-1].iteration if parts else len(replay.par)
        after = replay.par[last : last + window]
        table.append(
            {
                "iteration": call,
                "listed": listed,
                "applied": len(parts),
                "changed": sum(part.changed for part in parts),
                "par_before": round(float(replay.par[call - window : call].mean()), 6),
                "par_after": round(float(after.mean()), 6) if after.size else None,
                "repeating_devices": int(repeating.sum()),
            }
        )
    return table


def _repeating(table: np.ndarray) -> np.ndarray:
    """How many devices of each layer hold an expert twice; table: [layer, device, slot]."""
    ordered = np.sort(table, axis=2)
    return (ordered[..., 1:] == ordered[..., :-1]).any(axis=2).sum(axis=1)


def bin_starts(iterations: int) -> np.ndarray:
    """First iteration of each of at most BINS bins of nearly one size, from 0: int64 [bin]."""
    return np.unique(np.linspace(0, iterations, BINS, endpoint=False).astype(np.int64))


def heat_map(par: np.ndarray | ParRows) -> np.ndarray:
    """Mean PAR of each layer over each bin, rounded to 4 decimals: float64 [layer, bin].

    par: [iteration, layer].
    """
    edges = [*bin_starts(len(par)).tolist(), len(par)]
    means = [np.add.reduceat(par[start:stop], [0], axis=0)[0] / (stop - start) for start, stop in pairwise(edges)]
    return np.round(np.array(means).T, 4)


def _costliest_windows(replay: Replay, trace: Hotness) -> list[dict[str, Any]]:
    starts = np.arange(fixed_iterations(replay.case, trace.iterations), trace.iterations, replay.case.window)
    if not len(starts):
        return []
    stops = np.append(starts[1:], trace.iterations)
    means = np.array([replay.par[start:stop].mean() for start, stop in zip(starts, stops, strict=True)])
    windows = []
    for index in np.argsort(-means, kind="stable")[:LISTED]:
        start, stop = int(starts[index]), int(stops[index])
        by_layer = replay.par[start:stop].mean(axis=0)
        layers = np.argsort(-by_layer, kind="stable")[:LISTED]
        windows.append(
            {
                "first_iteration": start + 1,
                "last_iteration": stop,
                "mean_par": round(float(means[index]), 6),
                "layers": [
                    {"layer": int(layer), "mean_par": round(float(by_layer[layer]), 6)}
                    | _worst_iteration(replay, trace, int(layer), start, stop)
                    for layer in layers
                ],
            }
        )
    return windows


def _worst_iteration(replay: Replay, trace: Hotness, layer: int, start: int, stop: int) -> dict[str, Any]:
    par = replay.par[start:stop][:, layer]
    worst = start + int(par.argmax())
    rows = replay.rows_at(layer, worst + 1)
    hotness = trace.stretch(layer, worst, worst + 1)[0][:, 0]
    loads = device_loads(hotness[:, None], rows)[:, 0]
    device = int(loads.argmax())
    replicas = replica_counts(rows, trace.experts)
    # An expert twice on the device brings both shares.
    brought = hotness * replica_counts(rows[device], trace.experts) / replicas
    experts = sorted(set(rows[device].tolist()), key=lambda expert: (-brought[expert], expert))
    return {
        "iteration": worst + 1,
        "par": round(float(par[worst - start]), 6),
        "device": device,
        "device_load": round(float(loads[device]), 3),
        "mean_load": round(float(loads.mean()), 3),
        "experts": [
            {"expert": expert, "hotness": int(hotness[expert]), "replicas": int(replicas[expert])}
            for expert in experts[:LISTED]
        ],
    }


def _largest_redeployment(replay: Replay, trace: Hotness) -> dict[str, Any] | None:
    if not replay.applications:
        return None
    changed: dict[int, int] = {}
    for application in replay.applications:
        changed[application.call] = changed.get(application.call, 0) + application.changed
    call = max(changed, key=lambda number: (changed[number], -number))
    parts = [application for application in replay.applications if application.call == call]
    largest = max(parts, key=lambda part: (part.changed, -part.layer))
    before = replay.rows_at(largest.layer, largest.iteration)
    until = min(largest.iteration + replay.case.window, trace.iterations)
    return {
        "call": call,
        "first_iteration": parts[0].iteration,
        "last_iteration": parts[-1].iteration,
        "changed": changed[call],
        "layer": largest.layer,
        "loads_before": _relative_loads(trace, largest, before, largest.iteration - replay.case.window),
        "loads_after": _relative_loads(trace, largest, largest.rows, largest.iteration, until),
    }


def _relative_loads(
    trace: Hotness, application: Application, rows: np.ndarray, start: int, stop: int | None = None
) -> list[float]:
    """Mean device loads over iterations start .. stop - 1 (from 0), the mean device being 1; empty when none."""
    hotness, _ = trace.stretch(application.layer, start, stop or application.iteration)
    if not hotness.shape[1]:
        return []
    loads = device_loads(hotness, rows).mean(axis=1)
    return np.round(loads / loads.mean(), 4).tolist()
