"""What is written for the scorer: rows of numbers, series, and the three files that carry them."""

from __future__ import annotations

import io
import json
import math
import os
import platform
import zipfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from . import SIMULATOR_VERSION
from .grid import Case, Cost
from .replay import Replay

MEASURES = ("mean_par", "transmit_amount", "calls", "redeployed_layers", "par_p50", "par_p95", "par_p99")
FILES = ("results.json", "series.npz", "explain.json")


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


def write_json(path: Path, content: Any) -> None:
    """Write strict JSON; the file appears whole or not at all."""
    _write(path, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode("utf-8"))


def write_series(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write a compressed .npz whose bytes depend on the arrays only (numpy's own carries the time of day)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy")
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, member.getvalue())
    _write(path, buffer.getvalue())


def _write(path: Path, data: bytes) -> None:
    partial = path.with_name(f".{path.name}.part")
    partial.write_bytes(data)
    os.replace(partial, path)
