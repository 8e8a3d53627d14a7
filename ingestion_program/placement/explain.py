"""Why a case costs what it costs: heat map, costliest windows, the largest redeployment."""

from __future__ import annotations

from typing import Any

import numpy as np

from .balance import device_loads
from .deployment import replica_counts
from .replay import Application, Replay
from .trace import Trace

BINS = 64
LISTED = 3


def explain(replay: Replay, trace: Trace) -> dict[str, Any]:
    """Everything the page needs to answer "why this score", in plain numbers for JSON.

    heat_map: PAR [layer][bin], each bin the mean over `bin_starts[b] ..` (iterations from 1);
    costliest_windows: the three stretches of `window` iterations with the highest mean PAR, their three
    costliest layers, and what held the hottest device in each layer's worst iteration;
    largest_redeployment: device loads, relative to their mean, around its layer with the most changed slots.
    """
    return {
        "bin_starts": (bin_starts(trace.iterations) + 1).tolist(),
        "heat_map": heat_map(replay.par).tolist(),
        "costliest_windows": _costliest_windows(replay, trace),
        "largest_redeployment": _largest_redeployment(replay, trace),
    }


def bin_starts(iterations: int) -> np.ndarray:
    """First iteration of each of at most BINS bins of nearly one size, from 0: int64 [bin]."""
    return np.unique(np.linspace(0, iterations, BINS, endpoint=False).astype(np.int64))


def heat_map(par: np.ndarray) -> np.ndarray:
    """Mean PAR of each layer over each bin, rounded to 4 decimals: float64 [layer, bin].

    par: [iteration, layer].
    """
    starts = bin_starts(len(par))
    sizes = np.diff(np.append(starts, len(par)))
    return np.round((np.add.reduceat(par, starts, axis=0) / sizes[:, None]).T, 4)


def _costliest_windows(replay: Replay, trace: Trace) -> list[dict[str, Any]]:
    starts = np.arange(0, trace.iterations, replay.case.window)
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


def _worst_iteration(replay: Replay, trace: Trace, layer: int, start: int, stop: int) -> dict[str, Any]:
    worst = start + int(replay.par[start:stop, layer].argmax())
    rows = replay.rows_at(layer, worst + 1)
    hotness = trace.expert_major[layer, :, worst]
    loads = device_loads(hotness[:, None], rows)[:, 0]
    device = int(loads.argmax())
    replicas = replica_counts(rows, trace.experts)
    # An expert twice on the device brings both shares.
    brought = hotness * replica_counts(rows[device], trace.experts) / replicas
    experts = sorted(set(rows[device].tolist()), key=lambda expert: (-brought[expert], expert))
    return {
        "iteration": worst + 1,
        "par": round(float(replay.par[worst, layer]), 6),
        "device": device,
        "device_load": round(float(loads[device]), 3),
        "mean_load": round(float(loads.mean()), 3),
        "experts": [
            {"expert": expert, "hotness": int(hotness[expert]), "replicas": int(replicas[expert])}
            for expert in experts[:LISTED]
        ],
    }


def _largest_redeployment(replay: Replay, trace: Trace) -> dict[str, Any] | None:
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
    trace: Trace, application: Application, rows: np.ndarray, start: int, stop: int | None = None
) -> list[float]:
    """Mean device loads over iterations start .. stop - 1 (from 0), the mean device being 1; empty when none."""
    hotness = trace.expert_major[application.layer, :, start : stop or application.iteration]
    if not hotness.shape[1]:
        return []
    loads = device_loads(hotness, rows).mean(axis=1)
    return np.round(loads / loads.mean(), 4).tolist()
