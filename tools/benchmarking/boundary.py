"""The way to a policy: handing a window over, and starting a policy's process."""

from __future__ import annotations

import mmap
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarking.clock import children_seconds, median_seconds
from placement.deployment import initial_deployment
from placement.grid import Case, Grid
from placement.isolation.handover import receive, share_table, share_window
from placement.isolation.neighbours import Neighbours
from placement.isolation.process import PolicyProcess
from placement.trace import Trace

ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}


def boundary_costs(policy: Path, case: Case, trace: Trace, grid: Grid, times: int) -> dict[str, Any]:
    """Milliseconds of a window's way, against copies of the same bytes, and seconds of a policy's process.

    `hand_over`: made from the trace, shared, mapped and read once by the policy; `copy_into_shared`: the same bytes
    written once into fresh shared memory, mapped and read once; `copy`: a copy in the process's own memory, read once.
    `start_seconds`: a process that is isolated and has imported the policy, which is then ended;
    `bare_start_seconds`: Python and numpy alone, between those. All are processor time.
    """
    window = trace.window(0, case.window)
    deployment = initial_deployment(case.layers, case.experts, case.devices, case.redundant_experts)

    def hand_over() -> None:
        hotness, _ = receive(case, share_window(trace, 0, case.window), share_table(deployment))
        hotness.max()

    def copy_into_shared() -> None:
        descriptor = os.memfd_create("window")
        os.write(descriptor, window)
        memory = mmap.mmap(descriptor, window.nbytes)
        os.close(descriptor)
        np.frombuffer(memory, np.int32).max()

    parts: dict[str, Any] = {"hand_over": hand_over, "copy": lambda: window.copy().max()}
    if hasattr(os, "memfd_create"):
        parts["copy_into_shared"] = copy_into_shared
    costs = {f"{name}_milliseconds": median_seconds(part, 3 * times) * 1000 for name, part in parts.items()}
    starts = [(_start_seconds(policy, case, trace, grid), _bare_seconds()) for _ in range(times)]
    start, bare = (statistics.median(column) for column in zip(*starts, strict=True))
    sizes = {"model": case.model, "window_bytes": window.nbytes}
    starting = {"start_seconds": start, "bare_start_seconds": bare, "above_bare_milliseconds": (start - bare) * 1000}
    return sizes | costs | starting


def start_bare() -> None:
    """Start Python and numpy alone, with one thread of linear algebra, as the simulator's processes do, and wait."""
    subprocess.run([sys.executable, "-I", "-c", "import numpy"], check=True, env=os.environ | ONE_THREAD)


def _bare_seconds() -> float:
    before = children_seconds()
    start_bare()
    return children_seconds() - before


def _start_seconds(policy: Path, case: Case, trace: Trace, grid: Grid) -> float:
    before = children_seconds()
    with PolicyProcess(policy, case, Neighbours(trace), grid, time.monotonic() + grid.limits.grid_seconds) as process:
        process.start()
    return children_seconds() - before
