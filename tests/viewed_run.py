"""A run of the worked example as it lies in a folder, with its trace: what `kit.py view` reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from cases import EXAMPLE_HOTNESS, NONSENSE, Answers, B, C, P, make_case, redeploy
from placement.decisions import pack
from placement.evaluation.result_files import write_results
from placement.grid import Case, Cost
from placement.replay import Replay, replay
from placement.results import identity, measures
from placement.trace import Trace

# Of the 24 values of the example, a point of PAR costs 2.5 seconds, and a slot a thousandth.
COST = Cost(60.0, 1000, 1e6)
STORED = np.tile(np.array(EXAMPLE_HOTNESS, np.int32), (12, 2, 1))


def example(case: Case | None = None) -> tuple[Replay, Trace]:
    """The example replayed: call 1 redeploys layers 1 and 0 of the two, call 2 layer 0."""
    trace = Trace(STORED)
    return replay(trace, case or make_case(), Answers(redeploy([1, 0], [B, P]), redeploy([0], [C, NONSENSE]))), trace


def write_run(folder: Path, dataset: str = "d", **content: Any) -> Path:
    """Write a run's files and traces/ into a folder and return it; content: what results.json holds otherwise."""
    measured, trace = example(make_case(dataset=dataset))
    case = measured.case
    (folder / "traces" / case.model).mkdir(parents=True)
    np.save(folder / "traces" / case.model / f"{dataset}.npy", STORED)
    row = identity(case, COST, trace.sha256) | {"status": "ok", "failure": None} | measures(measured, trace)
    results = {"status": "scored", "failure": None, "grid": {"name": "tiny", "hidden": False}, "cases": [row]}
    log = {f"{case.key}/{name}": array for name, array in pack(measured).items()}
    write_results(folder, results | content, {}, {}, log, dict, b"key")
    return folder
