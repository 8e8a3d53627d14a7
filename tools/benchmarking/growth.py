"""What grows with a trace and a case: a replay, a whole run of the ingestion program, and what it leaves behind."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarking.clock import median_seconds, one_core
from benchmarking.command import command_costs
from benchmarking.kernel import ds_eplb_answers, replay_answers
from benchmarking.memory import command_peak
from benchmarking.whole_grid import ingestion
from placement.grid import Case, grid_from_mapping
from placement.trace import Trace
from placement.traces.whole_file import write_whole
from placement.traces.yaml_file import read_yaml

WINDOW = 128
MODEL, DATASET = "Uniform", "drawn"
# What a row's cost is compared by with the row before it, where both vary one size.
COSTS = {"replay": "milliseconds", "processor": "processor_seconds", "peak": "peak_bytes", "left": "left_bytes"}


class Sizes(NamedTuple):
    """A trace and its one case."""

    iterations: int = 1024
    layers: int = 16
    experts: int = 256
    devices: int = 64
    redundant: int = 64


# Far beyond what is deployed: one expert on a device, half of them twice.
LARGEST = Sizes(1024, 128, 512, 1024, 512)
# More devices than experts and as many redundant ones could hold have one slot each.
STEPS = {
    # The last trace is above placement.traces.long_file.WHOLE_BYTES, so that a run holds a piece of it at a time.
    "iterations": [Sizes(), Sizes(iterations=4096), Sizes(iterations=16384), Sizes(iterations=81920)],
    "layers": [Sizes(), Sizes(layers=64), Sizes(layers=256)],
    "experts": [Sizes(), Sizes(experts=1024), Sizes(experts=4096)],
    "devices": [Sizes(), Sizes(devices=256, redundant=256), Sizes(devices=1024, redundant=768)],
    "largest": [LARGEST],
}


def steps(quick: bool) -> Iterator[tuple[str, Sizes]]:
    """What is varied and the sizes, row by row; quick: two lengths and the largest case, on short traces."""
    for varied, rows in STEPS.items():
        if not quick:
            yield from ((varied, sizes) for sizes in rows)
        elif varied in ("iterations", "largest"):
            yield from ((varied, sizes._replace(iterations=sizes.iterations // 4)) for sizes in rows[:2])


def growth_costs(grid: Path, folder: Path, times: int, quick: bool) -> list[dict[str, Any]]:
    """One row for each of `steps`: a replay's processor time, a whole run's costs with DS-EPLB, and exponents.

    grid: a grid file whose costs and limits are taken; folder: for traces, which are drawn and removed, and results.
    An exponent is of the cost's ratio to the row before, in terms of the varied size's. Raises OrganizerError, and
    CalledProcessError when a run fails.
    """
    measured: dict[Sizes, dict[str, Any]] = {}
    rows: list[dict[str, Any]] = []
    for varied, sizes in steps(quick):
        if sizes not in measured:
            measured[sizes] = _costs(sizes, grid, folder, times)
        row = {"varied": varied} | sizes._asdict() | measured[sizes]
        before = rows[-1] if rows and rows[-1]["varied"] == varied else None
        rows.append(row | {f"{name}_exponent": exponent(row, before, key) for name, key in COSTS.items()})
    return rows


def exponent(row: dict[str, Any], before: dict[str, Any] | None, cost: str) -> float | None:
    """By which power of the varied size a cost grew from one row to the next; None where there is nothing to tell."""
    if before is None or not row[cost] or not before[cost]:
        return None
    return math.log(row[cost] / before[cost]) / math.log(row[row["varied"]] / before[row["varied"]])


def _costs(sizes: Sizes, grid: Path, folder: Path, times: int) -> dict[str, Any]:
    values = np.random.default_rng(0).integers(0, 100, sizes[:3], np.int32)
    path = folder / "traces" / MODEL / f"{DATASET}.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, values)
    file, output = folder / "grid.yaml", folder / "results"
    content = grid_of(sizes, read_yaml(grid, "grid"))
    write_whole(file, json.dumps(content, indent=1).encode())
    (case,) = grid_from_mapping(content).cases
    replay = replay_milliseconds(values, case, times)
    del values
    command = ingestion(file, folder / "traces", output, 1)
    costs, _ = command_costs(command)
    peak = command_peak(command)
    trace_bytes = path.stat().st_size
    path.unlink()
    left = sum(found.stat().st_size for found in output.iterdir())
    slots = case.layers * case.devices * case.slots
    per_slot = replay / (sizes.iterations * slots) * 1e6
    measured = {"trace_bytes": trace_bytes, "milliseconds": replay, "nanoseconds_per_slot": per_slot}
    return measured | costs | {"peak_bytes": peak, "left_bytes": left}


def grid_of(sizes: Sizes, like: dict[str, Any]) -> dict[str, Any]:
    """The content of a grid file with one case of these sizes, and another grid's costs and limits."""
    case = {"model": MODEL, "dataset": DATASET, "ep": [sizes.devices], "redundant_experts": sizes.redundant}
    models = {MODEL: {"layers": sizes.layers, "experts": sizes.experts}}
    return like | {"name": "growth", "window": WINDOW, "models": models, "cases": [case]}


@one_core()
def replay_milliseconds(values: np.ndarray, case: Case, times: int) -> float:
    """A replay's processor time, without opening and planning. values: int32 [iteration, layer, expert]."""
    trace = Trace(values)
    answers = ds_eplb_answers(trace, case)
    return median_seconds(lambda: replay_answers(trace, case, answers), times) * 1000
