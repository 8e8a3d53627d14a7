"""The lab's own files: a routing trace and a plan, both .npz without pickles."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .routing_trace import RoutingTrace

TRACE_KEYS = {"experts", "layers", "choices", "requests"}
PLAN_KEYS = {"plan", "order", "layers", "experts", "shared", "rows", "cols"}


class FileRefused(ValueError):
    """A file that is not what it should be; the text names it."""


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


def save_trace(path: Path, trace: RoutingTrace) -> None:
    """Write a routing trace; scores are not kept. Raises OSError."""
    arrays = {"experts": np.array(trace.experts), "layers": np.array(trace.layers), "requests": trace.requests}
    arrays["choices"] = trace.choices.astype(np.uint16)
    if trace.origins is not None:
        arrays["origins"] = trace.origins
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **arrays)


def load_trace(path: Path) -> RoutingTrace:
    """Read what save_trace wrote. Raises FileRefused."""
    found = _read(path, TRACE_KEYS, "a trace that `python -m lab import` or `generate` wrote")
    origins = found["origins"].astype(np.int32) if "origins" in found else None
    layers = tuple(int(layer) for layer in found["layers"])
    choices = found["choices"].astype(np.int32)
    return RoutingTrace(int(found["experts"]), layers, choices, found["requests"].astype(np.int64), origins)


def save_plan(path: Path, plan: PlanFile) -> None:
    """Write a plan. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **{key: np.asarray(getattr(plan, key)) for key in sorted(PLAN_KEYS)})


def load_plan(path: Path) -> PlanFile:
    """Read what save_plan wrote. Raises FileRefused."""
    found = _read(path, PLAN_KEYS, "a plan that `python -m lab plan` or `search` wrote")
    numbers = {key: int(found[key]) for key in ("experts", "rows", "cols")}
    layers = tuple(int(layer) for layer in found["layers"])
    return PlanFile(found["plan"], found["order"], layers, shared=bool(found["shared"]), **numbers)


def _read(path: Path, keys: set[str], expected: str) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            found = {key: archive[key] for key in archive.files}
        if missing := sorted(keys - set(found)):
            raise ValueError(f"no {', '.join(missing)}")
        return found
    # numpy and zipfile raise nearly anything on a damaged file.
    except Exception as error:
        raise FileRefused(f"{path} cannot be read. Got: {error}. Expected: {expected}.") from None
