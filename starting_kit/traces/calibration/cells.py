"""How far generated traces are from the published figures, cell by cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from placement.trace import Trace
from scores.table import markdown

from ..generation.generator import generate
from ..generation.profile import Profile
from .published import Cell
from .sweep import Measured, sweep

COLUMNS = ("ep", "window", "PAR published", "generated", "error %", "after the first redeployment")
COLUMNS += ("transmit published", "generated", "error %")


class Comparison(NamedTuple):
    """One cell, and what was measured on generated traces of full size, averaged over seeds."""

    cell: Cell
    measured: Measured

    @property
    def par_error(self) -> float:
        """Relative error of mean PAR."""
        return self.measured.mean_par / self.cell.mean_par - 1

    @property
    def transmit_error(self) -> float:
        """Relative error of the transmit amount, 0 for the static deployment."""
        return self.measured.transmit_amount / self.cell.transmit_amount - 1 if self.cell.transmit_amount else 0.0


def measure_cells(profile: Profile, cells: Sequence[Cell], seed: int) -> list[Measured]:
    """Measure every cell on one generated trace of full size, all layers, its timing as fitted."""
    shape = profile.iterations, profile.layers, profile.experts
    trace = Trace(generate(profile.parameters, *shape, seed, fitted=True), profile.name)
    by_cell = sweep(trace, profile.layers, list(cells))
    return [by_cell[cell] for cell in cells]


def average(cells: Sequence[Cell], by_seed: Sequence[Sequence[Measured]]) -> list[Comparison]:
    """Average what was measured on several seeds, cell by cell."""
    means = np.mean(np.array(by_seed, dtype=float), axis=0)
    return [Comparison(cell, Measured(*map(float, mean))) for cell, mean in zip(cells, means, strict=True)]


def summary(comparisons: Sequence[Comparison]) -> dict[str, float]:
    """Root mean square and largest error of mean PAR, and the largest of transmit, as parts of one."""
    par = np.array([one.par_error for one in comparisons])
    transmit = np.array([one.transmit_error for one in comparisons])
    return {
        "par_rms": float(np.sqrt(np.mean(par**2))),
        "par_largest": float(np.abs(par).max()),
        "transmit_largest": float(np.abs(transmit).max()),
    }


def cell_table(comparisons: Sequence[Comparison]) -> str:
    """A Markdown table: published and generated figures of every cell, with their errors in per cent."""
    rows = []
    for one in comparisons:
        cell, measured = one
        par = cell.mean_par, measured.mean_par, f"{100 * one.par_error:+.1f}"
        moved = "", 0, 0, ""
        if cell.window:
            error = f"{100 * one.transmit_error:+.1f}"
            moved = f"{measured.later_par:.3f}", cell.transmit_amount, f"{measured.transmit_amount:.0f}", error
        rows.append((cell.ep, cell.window or "static", *par, *moved))
    return markdown(COLUMNS, rows, ".4f")
