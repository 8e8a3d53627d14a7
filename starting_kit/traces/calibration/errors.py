"""How far a profile's generated traces are from published figures, group by group; each measurement kept in a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from placement.submission.receipt import file_sha256, simulator_sha256
from placement.trace import Trace

from ..generation.generator import generate
from ..generation.profile import Profile
from ..store import once
from .published import Cell, Published
from .sweep import Measured, Sweep

CELLS, UNDELAYED, ONCE = "DS-EPLB and static", "without latency", "once"
# What a group's mean square counts in a fit, in the order in which groups are shown. Curves were read off pictures,
# and say little of a whole trace.
WEIGHTS = {CELLS: 1.0, UNDELAYED: 0.35, ONCE: 1.0}
CURVE_WEIGHT = 0.06
ROOM = Path(__file__).parent


@dataclass(frozen=True)
class Target:
    """Published figures, and which of their cells are only shown."""

    published: Published
    aside: tuple[str, ...] = ()

    def group(self, cell: Cell) -> str:
        """The group that a cell is summed up in.

        Where some figures have the policy's latency, those without are a group of their own.
        """
        policy = cell.policy
        if policy.name == "once":
            group = ONCE
        else:
            mixed = any(other.policy.latency for other in self.published.cells)
            group = UNDELAYED if mixed and policy.window and not policy.latency else CELLS
        return f"{group}, ep {policy.ep}, aside" if f"{policy.name}:{policy.ep}" in self.aside else group

    def groups(self) -> dict[str, float]:
        """Every group and its weight in a fit, in the order in which they are shown."""
        named = [self.group(cell) for cell in self.published.cells]
        curves = {f"curve of {curve.policy}": CURVE_WEIGHT for curve in self.published.curves}
        return {group: WEIGHTS.get(group, 0.0) for group in sorted(named, key=_rank)} | curves


@dataclass(frozen=True)
class Measurement:
    """Of one trace, in the published figures' order: what the cells measure, and each curve's points."""

    cells: list[Measured]
    curves: list[np.ndarray]

    def errors(self, target: Target) -> dict[str, np.ndarray]:
        """Log of generated over published PAR, by group; static curves after each was divided by its mean."""
        by_group: dict[str, list[float]] = {group: [] for group in target.groups()}
        for cell, measured in zip(target.published.cells, self.cells, strict=True):
            by_group[target.group(cell)].append(np.log(measured.mean_par / cell.mean_par))
        for curve, par in zip(target.published.curves, self.curves, strict=True):
            error = np.log(par / np.array(curve.mean_par))
            if not curve.policy.window:
                error = error - np.log(par.mean() / np.mean(curve.mean_par))
            by_group[f"curve of {curve.policy}"] = list(error)
        return {group: np.array(errors) for group, errors in by_group.items()}


@dataclass(frozen=True)
class Generated:
    """A trace to generate and measure; layers: so many of the profile's, None: all. folder: keeps measurements."""

    profile: Profile
    seed: int
    layers: int | None = None
    fitted: bool = True
    folder: Path | None = None


def measure(generated: Generated, target: Target) -> Measurement:
    """Measure every figure on one generated trace of full length, or find what an earlier run kept. Raises OSError."""

    def measured() -> dict[str, Any]:
        profile = generated.profile
        shape = profile.iterations, generated.layers or profile.layers, profile.experts
        values = generate(profile.parameters, *shape, generated.seed, fitted=generated.fitted)
        sweep = Sweep(Trace(values, profile.name), profile.layers)
        cells = [sweep.measure(cell.policy) for cell in target.published.cells]
        return {"cells": cells, "curves": [sweep.curve(curve).tolist() for curve in target.published.curves]}

    found = once(generated.folder, _made_of(generated, target), measured)
    cells = [Measured(*map(float, cell)) for cell in found["cells"]]
    return Measurement(cells, [np.array(curve, dtype=float) for curve in found["curves"]])


def rms(errors: Sequence[float] | np.ndarray) -> float:
    """Root mean square, in per cent."""
    return 100 * float(np.sqrt(np.mean(np.square(errors))))


def _made_of(generated: Generated, target: Target) -> dict[str, Any]:
    """All that a measurement depends on."""
    profile = generated.profile
    return {
        "unit": "published figures on a generated trace",
        "profile": [profile.name, profile.iterations, profile.layers, profile.experts],
        "parameters": asdict(profile.parameters),
        "seed": generated.seed,
        "layers": generated.layers or profile.layers,
        "fitted": generated.fitted,
        "policies": [cell.policy for cell in target.published.cells],
        "curves": [[curve.policy, curve.iterations] for curve in target.published.curves],
        "simulator": simulator_sha256(),
        "generation": simulator_sha256(ROOM.parent / "generation"),
        "sweep.py": file_sha256(ROOM / "sweep.py"),
        "numpy": np.__version__,
    }


def _rank(group: str) -> tuple[int, str]:
    order = list(WEIGHTS)
    return order.index(group) if group in order else len(order), group
