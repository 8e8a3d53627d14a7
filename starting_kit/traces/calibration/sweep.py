"""DS-EPLB at several windows on a sample of a model's layers, as the replay of all its layers would have it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from placement import balance
from placement.deployment import initial_deployment
from placement.ds_eplb import ds_eplb
from placement.trace import Trace

from .published import Cell


class Measured(NamedTuple):
    """mean_par over all layers and iterations; transmit_amount, scaled from the sample to all layers;
    later_par: mean PAR from the first redeployed iteration of each layer on, NaN without one."""

    mean_par: float
    transmit_amount: float
    later_par: float


def sampled_layers(layers: int, count: int) -> np.ndarray:
    """`count` of a model's layers at equal distances, the middles of as many parts."""
    return ((np.arange(count) + 0.5) * layers / count).astype(int)


def sweep(trace: Trace, layers: int, cells: list[Cell]) -> dict[Cell, Measured]:
    """What each cell's policy would measure, were the trace's layers `sampled_layers` of a model of `layers`.

    The calls come when all layers would have been redeployed, one per iteration, and each sampled layer has its turn
    when it would have had it among all. With all layers it is the simulator's replay.
    """
    position = sampled_layers(layers, trace.layers)
    measured: dict[Cell, Measured] = {}
    static: dict[int, np.ndarray] = {}
    for cell in cells:
        if cell.ep not in static:
            rows = initial_deployment(1, trace.experts, cell.ep)[0]
            static[cell.ep] = np.stack([_par(trace, layer, rows, 0, trace.iterations) for layer in range(trace.layers)])
        if cell.window:
            measured[cell] = _redeployed(trace, layers, position, cell, static[cell.ep])
        else:
            measured[cell] = Measured(float(static[cell.ep].mean()), 0.0, float("nan"))
    return measured


def _redeployed(trace: Trace, layers: int, position: np.ndarray, cell: Cell, static: np.ndarray) -> Measured:
    starts, tables = [], []
    finish = 0
    while (iteration := finish + cell.window + 1) <= trace.iterations:
        hotness = trace.expert_major[:, :, iteration - cell.window : iteration]
        tables.append(ds_eplb(hotness.sum(axis=2, dtype=np.int64), cell.ep, cell.ep))
        # What is applied in iteration n (from 1) counts from index n (from 0) on.
        starts.append(np.minimum(iteration + cell.latency + 1 + position, trace.iterations + 1))
        finish = iteration + cell.latency + layers
    par, changed = static.copy(), 0
    live = initial_deployment(trace.layers, trace.experts, cell.ep)
    for start, stop, table in zip(starts, [*starts[1:], np.full(trace.layers, trace.iterations)], tables, strict=True):
        for layer in np.flatnonzero(start <= trace.iterations):
            changed += np.count_nonzero(table[layer] != live[layer])
            piece = slice(start[layer], min(stop[layer], trace.iterations))
            par[layer, piece] = _par(trace, layer, table[layer], piece.start, piece.stop)
        live = table
    later = np.concatenate([par[layer, start:] for layer, start in enumerate(starts[0])]) if starts else np.array([])
    later_par = float(later.mean()) if later.size else float("nan")
    return Measured(float(par.mean()), changed * layers / trace.layers, later_par)


def _par(trace: Trace, layer: int, rows: np.ndarray, start: int, stop: int) -> np.ndarray:
    return balance.par(trace.expert_major[layer, :, start:stop], trace.totals[layer, start:stop], rows)
