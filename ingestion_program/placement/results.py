"""What is written of a replay for the scorer: its row of numbers and its curves."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from .exact_sum import exact_sum
from .grid import Case, Cost
from .par_rows import ParRows, iteration_means, layer_means, ranked
from .parts import fixed_par, roll_out_par
from .replay import Replay
from .trace import Hotness

MEASURES = (
    *("mean_par", "transmit_amount", "calls", "redeployed_layers"),
    *("fixed_par", "roll_out_par", "roll_out_least_par", "par_p50", "par_p95", "par_p99"),
)


def mean_par(par: np.ndarray | ParRows) -> float:
    """Mean over all values, exactly rounded, then to 12 decimals: no order of summation decides a digit."""
    return round(exact_sum(par) / par.size, 12)


def measures(replay: Replay, trace: Hotness) -> dict[str, Any]:
    """The numbers of a replay, MEASURES; percentiles of all PAR values are nearest-rank."""
    ranks = [-(-percent * replay.par.size // 100) for percent in (50, 95, 99)]
    percentiles = [round(value, 12) for value in ranked(replay.par, ranks)]
    counts = (replay.transmit_amount, len(replay.calls), len(replay.applications))
    parts = [round(part, 12) for part in (fixed_par(replay.par, replay.case), *roll_out_par(replay, trace))]
    return dict(zip(MEASURES, (mean_par(replay.par), *counts, *parts, *percentiles), strict=True))


def identity(case: Case, cost: Cost, trace_sha256: str | None) -> dict[str, Any]:
    """What a row must share with its reference before the two may be compared."""
    return {
        "model": case.model,
        "dataset": case.dataset,
        "ep": case.ep,
        "redundant_experts": case.redundant_experts,
        "groups": case.groups,
        "nodes": case.nodes,
        "trace_sha256": trace_sha256,
        "window": case.window,
        "latency": case.latency,
        "cost": asdict(cost),
    }


def series(replay: Replay) -> dict[str, np.ndarray]:
    """Curves: PAR [iteration] (mean over layers), transmit [iteration], PAR [layer] (mean over iterations)."""
    return {
        "par": iteration_means(replay.par),
        "transmit": replay.transmit(),
        "layer_par": layer_means(replay.par),
    }
