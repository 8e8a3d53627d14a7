"""Builders for tests that run policies: submission folders, a tiny grid with its traces, runs of the programs."""

from __future__ import annotations

import atexit
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml

from placement.errors import sentence
from placement.evaluation.case_run import Outcome
from placement.evaluation.turns import run_cases
from placement.grid import Case, Grid, grid_from_mapping
from placement.isolation import process as policy_process
from placement.isolation.process import PolicyProcess
from placement.isolation.template import Template
from placement.trace import Trace

ROOT = Path(__file__).resolve().parent.parent
INGESTION = ROOT / "ingestion_program" / "ingestion.py"
WINDOW, ITERATIONS = 3, 14
SHAPES = {"Small": (2, 4), "Large": (3, 8)}
CASES = ["Small/one ep 2", "Small/one ep 4", "Large/two ep 4", "Large/two ep 8"]
# Far more time than an honest policy needs, however busy the machine is: a test of a limit lowers that one.
LIMITS = {
    "start_seconds": 30,
    "call_seconds": 30,
    "case_seconds": 60,
    "grid_seconds": 300,
    "memory_bytes": 2**32,
    "trace_memory_bytes": 2**34,
    "log_bytes": 65536,
}
# What the policies of all tests of one process are forked from, once a first one runs: to start Python takes longer.
TEMPLATE = Template()
atexit.register(TEMPLATE.close)
DECLINES = "def rebalance(hotness, n_device, n_red_expert):\n    return False, None, None, None\n"


def write_policy(folder: Path, source: str, files: dict[str, str] | None = None) -> Path:
    """Write policy.py, and other files by their relative paths, into a folder; return the folder."""
    for name, text in ({"policy.py": source} | (files or {})).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
    return folder


def grid_mapping(**limits: float) -> dict[str, Any]:
    """The content of the tiny grid.yaml: two models, four cases."""
    return {
        "name": "tiny",
        "window": WINDOW,
        "latency": 0,
        "cost": {"balanced_compute_seconds": 60.0, "expert_bytes": 1000, "bandwidth_bytes_per_second": 10**6},
        "limits": LIMITS | limits,
        "models": {model: {"layers": layers, "experts": experts} for model, (layers, experts) in SHAPES.items()},
        "cases": [
            {"model": "Small", "dataset": "one", "ep": [2, 4]},
            {"model": "Large", "dataset": "two", "ep": [4, 8]},
        ],
    }


def tiny_grid(**limits: float) -> Grid:
    """The tiny grid, with other limits where they are named."""
    return grid_from_mapping(grid_mapping(**limits))


def stored_hotness(model: str) -> np.ndarray:
    """A model's trace, int32 [iteration, layer, expert], uneven and with zeros."""
    layers, experts = SHAPES[model]
    random = np.random.default_rng(layers)
    return random.integers(0, 4, (ITERATIONS, layers, experts), np.int32) * random.integers(1, 40, experts, np.int32)


def write_world(folder: Path, **limits: float) -> Path:
    """Write grid.yaml and traces/ of the tiny grid into a folder and return it."""
    for model, dataset in (("Small", "one"), ("Large", "two")):
        path = folder / "traces" / model / f"{dataset}.npy"
        path.parent.mkdir(parents=True)
        np.save(path, stored_hotness(model))
    (folder / "grid.yaml").write_text(yaml.safe_dump(grid_mapping(**limits)), encoding="utf-8")
    return folder


def run_policy(
    folder: Path, seconds_left: float = 300, template: Template | None = TEMPLATE, **limits: float
) -> Outcome:
    """Run the tiny grid's first case, Small/one ep 2, against the policy in a folder; template: as of run_case."""
    grid = tiny_grid(**limits)
    deadline = time.monotonic() + seconds_left
    return run_case(folder, grid.cases[0], Trace(stored_hotness("Small")), grid, deadline, template)


def run_case(
    folder: Path, case: Case, trace: Trace, grid: Grid, deadline: float, template: Template | None = TEMPLATE
) -> Outcome:
    """Run one case of a trace alone; template: of its process, None for a new one."""
    (outcome,) = run_cases(folder, [case], lambda: trace, grid, deadline, template)
    return outcome


def slow_calls(patch: pytest.MonkeyPatch, seconds: float, devices: int = 0) -> None:
    """Let the simulator's clock go on by so many seconds in every call, or in those with so many devices."""
    ask, passed = PolicyProcess._ask, [0.0]

    def slow(process: PolicyProcess, message: dict[str, Any], descriptors: list[int]) -> None:
        ask(process, message, descriptors)
        if "iteration" in message and process._case.devices == (devices or process._case.devices):
            passed[0] += seconds

    patch.setattr(PolicyProcess, "_ask", slow)
    patch.setattr(policy_process, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + passed[0]))


def sentence_of(row: dict[str, Any]) -> str:
    """What is printed of a case's failure; nothing of a case that is ok."""
    return sentence(row["failure"], f"{row['model']}/{row['dataset']} ep {row['ep']}") if row["failure"] else ""


def run_ingestion(world: Path, submission: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the ingestion program on a world's grid and traces; results go to its folder `output`."""
    paths = {"submission": submission, "traces": world / "traces", "grid": world / "grid.yaml"}
    paths["output"] = world / "output"
    arguments = [text for name, path in paths.items() for text in (f"--{name}", str(path))]
    return run_program(INGESTION, *arguments, *options)


def run_program(program: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run one of the project's programs to its end; the time limit only keeps a defect from hanging the tests."""
    command = [sys.executable, str(program), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=1200, check=False)
