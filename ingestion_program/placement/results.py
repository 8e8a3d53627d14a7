"""What is written for the scorer: rows of numbers, series, and the files that carry them."""

from __future__ import annotations

import math
import platform
import time
from dataclasses import asdict
from typing import Any

import numpy as np

from . import SIMULATOR_VERSION
from .grid import Case, Cost
from .replay import Replay

MEASURES = ("mean_par", "transmit_amount", "calls", "redeployed_layers", "par_p50", "par_p95", "par_p99")


def mean_par(par: np.ndarray) -> float:
    """Mean over all values, exactly rounded, then to 12 decimals: no order of summation decides a digit."""
    return round(math.fsum(par.ravel().tolist()) / par.size, 12)


def measures(replay: Replay | None) -> dict[str, Any]:
    """The numbers of a replay, or None for each of them; percentiles of all PAR values are nearest-rank."""
    if replay is None:
        return dict.fromkeys(MEASURES)
    ordered = np.sort(replay.par, axis=None)
    ranks = [-(-percent * ordered.size // 100) for percent in (50, 95, 99)]
    percentiles = [round(float(ordered[rank - 1]), 12) for rank in ranks]
    counts = (replay.transmit_amount, len(replay.calls), len(replay.applications))
    return dict(zip(MEASURES, (mean_par(replay.par), *counts, *percentiles), strict=True))


def identity(case: Case, cost: Cost, trace_sha256: str | None) -> dict[str, Any]:
    """What a row must share with its reference before the two may be compared."""
    return {
        "model": case.model,
        "dataset": case.dataset,
        "ep": case.ep,
        "trace_sha256": trace_sha256,
        "window": case.window,
        "latency": case.latency,
        "cost": asdict(cost),
    }


def series(replay: Replay) -> dict[str, np.ndarray]:
    """Curves: PAR [iteration] (mean over layers), transmit [iteration], PAR [layer] (mean over iterations)."""
    return {
        "par": replay.par.mean(axis=1),
        "transmit": replay.transmit(),
        "layer_par": replay.par.mean(axis=0),
    }


def versions() -> dict[str, str]:
    """The versions that measured."""
    return {
        "simulator": SIMULATOR_VERSION,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": platform.machine(),
    }


class Clock:
    """Tells when a run began and how long it has taken; nothing else in the results depends on a clock."""

    def __init__(self) -> None:
        self._unix, self._monotonic = time.time(), time.monotonic()

    def times(self) -> dict[str, float]:
        """The fields of results.json: Unix time at the start, and seconds from then until now."""
        return {
            "started_seconds": round(self._unix, 3),
            "duration_seconds": round(time.monotonic() - self._monotonic, 3),
        }
