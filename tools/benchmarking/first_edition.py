"""The whole run as a first edition of such a simulator has it: a loop of numpy calls, in one process, not isolated.

`main` replays the cases of a grid one after the other with DS-EPLB as the policy, in a process of its own, which
tools/benchmark.py puts beside a run of the ingestion program.
"""

from __future__ import annotations

import json
import math
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from placement.deployment import initial_deployment
from placement.ds_eplb import ds_eplb
from placement.grid import Case, grid_from_mapping
from placement.traces.files import find_trace
from placement.traces.yaml_file import read_yaml

Policy = Callable[[np.ndarray, np.ndarray, int], "tuple[Sequence[int], np.ndarray] | None"]


def layer_par(hotness: np.ndarray, replicas: np.ndarray, rows: np.ndarray) -> float:
    """PAR of one layer in one iteration; hotness, replicas: [expert]; rows: [device, slot] -> expert."""
    loads = (hotness / replicas)[rows].sum(axis=1)
    return float(loads.max() / loads.mean())


def first_edition(hotness: np.ndarray, case: Case, policy: Policy) -> tuple[float, int]:
    """Mean PAR, rounded to 12 decimals, and transmit amount of a case without latency.

    hotness: integers [iteration, layer, expert], without zeros; policy(window, deployment, iteration) gives layers and
    table, or None.
    """
    table = initial_deployment(case.layers, case.experts, case.devices, case.redundant_experts)
    replicas = [np.bincount(rows.ravel(), minlength=case.experts) for rows in table]
    par: list[float] = []
    pending: list[int] = []
    new_table, transmit, finish = table, 0, 0
    for iteration, step in enumerate(hotness, 1):
        for layer in range(case.layers):
            par.append(layer_par(step[layer], replicas[layer], table[layer]))
        if pending:
            layer = pending.pop(0)
            transmit += int(np.count_nonzero(table[layer] != new_table[layer]))
            table[layer] = new_table[layer]
            replicas[layer] = np.bincount(table[layer].ravel(), minlength=case.experts)
            finish = iteration if not pending else finish
        if not pending and iteration == finish + case.window + 1:
            answer = policy(hotness[iteration - case.window : iteration], table.copy(), iteration)
            if answer is None or len(answer[0]) == 0:
                finish = iteration
            else:
                pending, new_table = list(answer[0]), np.array(answer[1])
    return round(math.fsum(par) / len(par), 12), transmit


def replay_grid(grid: Path, traces: Path) -> dict[str, Any]:
    """What each case measured, with the processor seconds of its loop, planning aside, and those of loading the traces.

    Raises OrganizerError for a grid that cannot be read, or whose trace is missing.
    """
    rows, loading = [], 0.0
    for cases in grid_from_mapping(read_yaml(grid, "grid")).by_trace():
        began = time.process_time()
        hotness = np.maximum(_load(find_trace(traces, cases[0].model, cases[0].dataset)), 1)
        loading += time.process_time() - began
        rows += [_replayed(hotness, case) for case in cases]
    # Kilobytes, but bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return {"cases": rows, "loading_seconds": loading, "peak_bytes": peak}


def _replayed(hotness: np.ndarray, case: Case) -> dict[str, Any]:
    planning = 0.0

    def policy(window: np.ndarray, deployment: np.ndarray, iteration: int) -> tuple[range, np.ndarray]:
        nonlocal planning
        began = time.process_time()
        sizes = (case.devices, case.redundant_experts, case.groups, case.nodes)
        answer = range(case.layers), ds_eplb(window.sum(axis=0), *sizes)
        planning += time.process_time() - began
        return answer

    began = time.process_time()
    mean_par, transmit = first_edition(hotness, case, policy)
    seconds = time.process_time() - began - planning
    return {
        **{name: getattr(case, name) for name in ("model", "dataset", "ep", "redundant_experts")},
        "mean_par": mean_par,
        "transmit_amount": transmit,
        "loop_seconds": seconds,
        "planning_seconds": planning,
    }


def _load(path: Path) -> np.ndarray:
    stored = np.load(path)
    if isinstance(stored, np.ndarray):
        return stored
    with stored as archive:
        return archive[archive.files[0]]


def main(arguments: Sequence[str]) -> None:
    """Print what replay_grid measures, as JSON; arguments: of replay_grid."""
    print(json.dumps(replay_grid(*map(Path, arguments))))
