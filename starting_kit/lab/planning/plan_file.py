"""A plan in a file: every layer's deployment table, the order of its replicas and its router, .npz without pickles."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from placement.errors import Problem
from placement.traces.whole_file import whole_file

from ..serving.routers import NAMES
from ..traces.trace_file import read_arrays
from .plan_check import check_plan

PLAN_KEYS = {"plan", "order", "layers", "experts", "shared", "rows", "cols", "routers", "sources", "load"}


@dataclass(frozen=True, eq=False)
class PlanFile:
    """What a file holds, the table under the key `plan`.

    table: int64 [layer, device, slot]; order: the same shape, ranks a layer's replicas as routers go through them;
    experts: routed ones; shared: whether id `experts` is the shared one; rows, cols: of the grid; routers: the name of
    each layer's, see serving.routers; sources: hashes of the traces that the plan was made from; load: tokens of each
    routed expert in the mean of the batches that were planned from, float64 [layer, expert].
    """

    table: np.ndarray
    order: np.ndarray
    layers: tuple[int, ...]
    experts: int
    shared: bool
    rows: int
    cols: int
    routers: tuple[str, ...]
    sources: tuple[str, ...]
    load: np.ndarray


def save_plan(path: Path, plan: PlanFile) -> None:
    """Write a plan. Raises OSError."""
    arrays = {key: np.asarray(plan.table if key == "plan" else getattr(plan, key)) for key in sorted(PLAN_KEYS)}
    with whole_file(path) as file:
        np.savez_compressed(file, **arrays)


def load_plan(path: Path) -> PlanFile:
    """Read what save_plan wrote. Raises Problem."""
    arrays = read_arrays(path, PLAN_KEYS, "a plan that `python -m lab plan` or `search` wrote")
    check_plan(arrays, path)
    numbers = {key: int(arrays[key]) for key in ("experts", "rows", "cols")}
    layers = tuple(int(layer) for layer in arrays["layers"])
    routers, sources = (tuple(str(text) for text in arrays[key].ravel()) for key in ("routers", "sources"))
    if len(routers) != len(layers) or not set(routers) <= set(NAMES):
        expected = f"one of {', '.join(NAMES)} for each of {len(layers)} layers"
        raise Problem("the plan has other routers", ", ".join(routers), expected, "plan again", str(path))
    shared, load = bool(arrays["shared"]), arrays["load"]
    if load.shape != (len(layers), numbers["experts"]) or not np.isfinite(load).all() or load.min() < 0:
        expected = f"numbers [{len(layers)} layers, {numbers['experts']} experts], not negative"
        raise Problem("the plan has no right load", f"shape {list(load.shape)}", expected, "plan again", str(path))
    kept = {"routers": routers, "sources": sources, "load": load}
    return PlanFile(arrays["plan"], arrays["order"], layers, shared=shared, **numbers, **kept)
