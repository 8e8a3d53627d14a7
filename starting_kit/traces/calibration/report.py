"""What a calibration found: a line for each group of figures and a row for each cell, and curves as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from placement.traces.whole_file import whole_file
from scores.table import markdown

from .errors import Measurement, Target, rms
from .published import Policy

GROUP_COLUMNS = ("figures", "count", "error %", "by seed", "worst", "its error %")
CELL_COLUMNS = ("figure", "PAR published", "generated", "error %", "standard deviation %")
CELL_COLUMNS += ("transmit published", "generated", "error %")


def group_table(target: Target, measurements: Sequence[Measurement]) -> str:
    """For each group the root mean square error of one trace, averaged over the seeds, and the worst figure's mean."""
    by_seed = [measurement.errors(target) for measurement in measurements]
    rows = []
    for group in target.groups():
        sizes = [rms(errors[group]) for errors in by_seed]
        mean = np.mean([errors[group] for errors in by_seed], axis=0)
        worst = int(np.abs(mean).argmax())
        each = " ".join(f"{size:.2f}" for size in sizes)
        mean_size = f"{np.mean(sizes):.2f}"
        rows.append((group, len(mean), mean_size, each, _figures(target, group)[worst], f"{100 * mean[worst]:+.1f}"))
    return markdown(GROUP_COLUMNS, rows)


def cell_table(target: Target, measurements: Sequence[Measurement]) -> str:
    """Published and generated figures of every cell, averaged over the seeds, with their errors."""
    rows = []
    for number, cell in enumerate(target.published.cells):
        measured = np.array([measurement.cells[number] for measurement in measurements], dtype=float)
        par, transmit = measured[:, 0], float(measured[:, 1].mean())
        spread = f"{100 * par.std(ddof=1) / par.mean():.1f}" if len(par) > 1 else ""
        error = f"{100 * (par.mean() / cell.mean_par - 1):+.1f}"
        moved = f"{100 * (transmit / cell.transmit_amount - 1):+.1f}" if cell.transmit_amount else ""
        row = str(cell.policy), cell.mean_par, float(par.mean()), error, spread
        rows.append((*row, cell.transmit_amount, f"{transmit:.0f}", moved))
    return markdown(CELL_COLUMNS, rows, ".4f")


def draw_curves(path: Path, target: Target, measurements: Sequence[Measurement], title: str) -> None:
    """Draw recorded and generated curves on top of each other as PNG, a panel for each policy.

    Makes the folder. Raises ImportError without matplotlib, and OSError.
    """
    from matplotlib.figure import Figure

    kinds = list(dict.fromkeys(_kind(curve.policy) for curve in target.published.curves))
    rows = -(-len(kinds) // 2)
    figure = Figure(figsize=(11, 3.2 * rows), layout="constrained")
    places = list(figure.subplots(rows, 2, squeeze=False).flat)
    panels = dict(zip(kinds, places, strict=False))
    for unused in places[len(kinds) :]:
        unused.remove()
    for number, curve in enumerate(target.published.curves):
        panel = panels[_kind(curve.policy)]
        drawn = [measurement.curves[number] for measurement in measurements]
        for index, par in enumerate(drawn):
            label = "generated, a line for each seed" if index == 0 and number == 0 else None
            panel.plot(curve.iterations, par, color="tab:orange", linewidth=0.7, alpha=0.8, label=label)
        label = "recorded" if number == 0 else None
        panel.plot(curve.iterations, curve.mean_par, color="black", linewidth=1.2, label=label)
        panel.annotate(f"ep {curve.policy.ep}", (curve.iterations[-1], curve.mean_par[-1]), fontsize=8)
    for kind, panel in panels.items():
        panel.set(title=kind, xlabel="iteration", ylabel="mean PAR over layers")
    figure.suptitle(title)
    figure.legend(loc="outside lower center", ncols=2)
    # Without the date and the version, the same figures give the same bytes.
    with whole_file(path) as file:
        figure.savefig(file, format="png", dpi=110, metadata={"Software": None})


def _figures(target: Target, group: str) -> list[str]:
    cells = [str(cell.policy) for cell in target.published.cells if target.group(cell) == group]
    if cells:
        return cells
    curve = next(curve for curve in target.published.curves if f"curve of {curve.policy}" == group)
    return [f"iteration {iteration:g}" for iteration in curve.iterations]


def _kind(policy: Policy) -> str:
    names = {"static": "static", "once": f"kept from the first {policy.window}"}
    return names.get(policy.name, f"DS-EPLB, window {policy.window}")
