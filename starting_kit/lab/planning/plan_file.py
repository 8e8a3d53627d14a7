"""A plan in a file: every layer's deployment table and the order of its lists of replicas, .npz without pickles."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from placement.traces.whole_file import whole_file

from ..traces.trace_file import read_arrays

PLAN_KEYS = {"plan", "order", "layers", "experts", "shared", "rows", "cols"}


@dataclass(frozen=True, eq=False)
class PlanFile:
    """What a file holds, the table under the key `plan`.

    table: int64 [layer, device, slot]; order: the same shape, ranks a layer's replicas as routers go through them;
    experts: routed ones; shared: whether id `experts` is the shared one; rows, cols: of the grid.
    """

    table: np.ndarray
    order: np.ndarray
    layers: tuple[int, ...]
    experts: int
    shared: bool
    rows: int
    cols: int


def save_plan(path: Path, plan: PlanFile) -> None:
    """Write a plan. Raises OSError."""
    arrays = {key: np.asarray(plan.table if key == "plan" else getattr(plan, key)) for key in sorted(PLAN_KEYS)}
    with whole_file(path) as file:
        np.savez_compressed(file, **arrays)


def load_plan(path: Path) -> PlanFile:
    """Read what save_plan wrote. Raises Problem."""
    arrays = read_arrays(path, PLAN_KEYS, "a plan that `python -m lab plan` or `search` wrote")
    numbers = {key: int(arrays[key]) for key in ("experts", "rows", "cols")}
    layers = tuple(int(layer) for layer in arrays["layers"])
    return PlanFile(arrays["plan"], arrays["order"], layers, shared=bool(arrays["shared"]), **numbers)
