"""The way to a policy: handing a window over, and starting a policy's process."""

from __future__ import annotations

import mmap
import os
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarking.clock import median_seconds
from placement.deployment import initial_deployment
from placement.grid import Case, Grid
from placement.isolation.handover import receive, share_table, share_window
from placement.isolation.neighbours import Neighbours
from placement.isolation.process import PolicyProcess
from placement.trace import Trace


def boundary_costs(policy: Path, case: Case, trace: Trace, grid: Grid, times: int) -> dict[str, Any]:
    """Milliseconds of a window's way, against copies of the same bytes, and seconds until a policy is ready.

    `hand_over`: made from the trace, shared, mapped and read once by the policy; `copy_into_shared`: the same bytes
    written once into fresh shared memory, mapped and read once; `copy`: a copy in the process's own memory, read once.
    `start_seconds`: until the new process is isolated and has imported the policy, without the process's end.
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
    start = statistics.median(_start_seconds(policy, case, trace, grid) for _ in range(times))
    return {"model": case.model, "window_bytes": window.nbytes} | costs | {"start_seconds": start}


def _start_seconds(policy: Path, case: Case, trace: Trace, grid: Grid) -> float:
    with PolicyProcess(policy, case, Neighbours(trace), grid, time.monotonic() + grid.limits.grid_seconds) as process:
        began = time.monotonic()
        process.start()
        return time.monotonic() - began
