"""A plan in a file: the deployment table of every layer, and the order of its lists of copies; .npz without pickles."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..traces.trace_file import read_arrays

PLAN_KEYS = {"plan", "order", "layers", "experts", "shared", "rows", "cols"}


@dataclass(frozen=True, eq=False)
class PlanFile:
    """plan: int64 [layer, device, slot]; order: the same shape, ranks a layer's copies as routers go through them;
    experts: routed ones; shared: whether id `experts` is the shared one."""

    plan: np.ndarray
    order: np.ndarray
    layers: tuple[int, ...]
    experts: int
    shared: bool
    rows: int
    cols: int


def save_plan(path: Path, plan: PlanFile) -> None:
    """Write a plan. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **{key: np.asarray(getattr(plan, key)) for key in sorted(PLAN_KEYS)})


def load_plan(path: Path) -> PlanFile:
    """Read what save_plan wrote. Raises FileRefused."""
    found = read_arrays(path, PLAN_KEYS, "a plan that `python -m lab plan` or `search` wrote")
    numbers = {key: int(found[key]) for key in ("experts", "rows", "cols")}
    layers = tuple(int(layer) for layer in found["layers"])
    return PlanFile(found["plan"], found["order"], layers, shared=bool(found["shared"]), **numbers)
