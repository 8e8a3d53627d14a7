"""The lab's plots, with matplotlib (the extra `lab`); without it, all of them raise Problem."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from placement.errors import Problem

from ..serving.cost import replica_tokens
from ..serving.replicas import Replicas
from ..serving.torus import Torus
from ..traces.batches import Batches
from .intervals import STATISTICS, statistic

if TYPE_CHECKING:
    import pandas as pd

    from .recommendation import Row


def _figure(width: float, height: float, panels: int = 1) -> tuple[Any, Any]:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        next_step = "in the top folder, .venv/bin/python -m pip install matplotlib -r requirements.txt"
        raise Problem("plots need matplotlib", "it is not installed", "the extra `lab`", next_step) from None
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(1, panels)


def placement_grid(
    path: Path | BytesIO, batches: Batches, replicas: Replicas, routed: np.ndarray, torus: Torus
) -> None:
    """Mean tokens per batch of each device on the grid, with the experts that it holds."""
    loads = np.bincount(
        replicas.device, replica_tokens(batches, replicas, routed).mean(axis=0), minlength=torus.devices
    )
    figure, axes = _figure(1.2 * torus.cols + 1, 0.5 * torus.rows + 1)
    image = axes.imshow(loads.reshape(torus.rows, torus.cols), cmap="viridis", aspect="auto")
    for device, experts in enumerate(replicas.table):
        text = " ".join(str(expert) for expert in experts if expert >= 0)
        # Light colours stand for many tokens.
        color = "black" if loads[device] > 0.6 * loads.max() else "white"
        axes.text(device % torus.cols, device // torus.cols, text, ha="center", va="center", fontsize=6, color=color)
    axes.set(xlabel="column", ylabel="row", title="Tokens per batch, and each device's experts")
    figure.colorbar(image)
    figure.savefig(path, dpi=150)


def latency_curves(path: Path | BytesIO, rows: Sequence[Row]) -> None:
    """The share of held-out batches that take at most so long, a curve for each row, with its p50, p95 and p99."""
    figure, axes = _figure(9, 5)
    for row in rows:
        total = np.sort(row.held_out)
        marks = {name: float(statistic(total, name)) for name in STATISTICS if name != "mean"}
        label = f"{row.name}: " + ", ".join(f"{name} {value:.0f}" for name, value in marks.items())
        (line,) = axes.step(total, np.arange(1, len(total) + 1) / len(total), where="post", label=label)
        axes.plot(list(marks.values()), [STATISTICS[name] for name in marks], "o", color=line.get_color(), markersize=4)
    axes.set(xlabel="us per batch", ylabel="share of batches", title="Latency of held-out batches")
    axes.legend(fontsize=7)
    figure.savefig(path, dpi=150)


def load_histogram(path: Path | BytesIO, rows: Sequence[Row]) -> None:
    """How many devices carry how much, held out: tokens by the mean of the batch, over layers, batches, devices."""
    figure, axes = _figure(9, 4)
    edges = np.linspace(0, max(float(row.device_tokens.max()) for row in rows), 40)
    for row in rows:
        axes.hist(row.device_tokens.ravel(), edges, histtype="step", density=True, label=row.name)
    axes.axvline(1, color="grey", linewidth=0.8)
    axes.set(xlabel="tokens of a device by the mean one", ylabel="density", yscale="log", title="Load of devices")
    axes.legend(fontsize=7)
    figure.savefig(path, dpi=150)


def layer_curves(path: Path | BytesIO, rows: Sequence[Row], layers: Sequence[int]) -> None:
    """Held-out mean of every layer, a curve for each row, and p99 as points."""
    figure, axes = _figure(9, 4)
    for row in rows:
        (line,) = axes.plot(layers, row.layers.mean(axis=1), marker=".", label=row.name)
        axes.plot(layers, statistic(row.layers, "p99"), "x", color=line.get_color(), markersize=4)
    axes.set(xlabel="layer", ylabel="us per batch", title="Held-out latency by layer: mean, and p99 as crosses")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(fontsize=7)
    figure.savefig(path, dpi=150)


def recommendation_plots(
    rows: Sequence[Row], chosen: Row, batches: Batches, torus: Torus, layers: Sequence[int]
) -> dict[str, bytes]:
    """The plots of a recommendation as PNG, by caption. batches: held-out ones of the first layer. Raises Problem."""
    first = chosen.planned[0]
    routed = first.router(batches, first.replicas)
    drawings = {
        "Latency of held-out batches": lambda file: latency_curves(file, rows),
        "Load of devices": lambda file: load_histogram(file, rows),
        "Layers": lambda file: layer_curves(file, rows, layers),
        f"The chosen placement of layer {layers[0]}": lambda file: placement_grid(
            file, batches, first.replicas, routed, torus
        ),
    }
    plots = {}
    for caption, draw in drawings.items():
        draw(file := BytesIO())
        plots[caption] = file.getvalue()
    return plots


def coactivation_map(path: Path, matrix: np.ndarray, hottest: int = 64) -> None:
    """How often pairs of the hottest experts were chosen together. matrix: [expert, expert]."""
    order = np.argsort(-matrix.sum(axis=1), kind="stable")[:hottest]
    figure, axes = _figure(6, 5)
    figure.colorbar(axes.imshow(matrix[np.ix_(order, order)], cmap="magma"))
    axes.set(xlabel="expert, hottest first", ylabel="expert, hottest first", title="Tokens that chose both")
    figure.savefig(path, dpi=150)


def frequency_curves(path: Path, batches: dict[str, Batches]) -> None:
    """Sorted shares of the experts, a curve for each name."""
    figure, axes = _figure(6, 4)
    for name, counted in batches.items():
        share = np.sort(counted.load.sum(axis=0) / counted.load.sum())[::-1]
        axes.plot(np.arange(1, len(share) + 1), share, label=name)
    axes.set(xlabel="expert, hottest first", ylabel="share of choices", yscale="log", title="Frequency of experts")
    axes.legend()
    figure.savefig(path, dpi=150)


def latency_breakdown(path: Path, frame: pd.DataFrame) -> None:
    """Dispatch, compute and combine of the matrix's methods, means over data sets and layers."""
    means = frame.groupby(["setting", "row", "plan"], sort=False)[["dispatch", "compute", "combine"]].mean()
    figure, axes = _figure(8, 1 + 0.5 * len(means))
    left = np.zeros(len(means))
    names = [": ".join(key) for key in means.index]
    for part in means.columns:
        axes.barh(names, means[part], left=left, label=part)
        left += means[part].to_numpy()
    axes.invert_yaxis()
    axes.set(xlabel="us per batch (mean)", title="Latency by part")
    axes.legend()
    figure.savefig(path, dpi=150)


def imbalance_curves(path: Path, model: str, frame: pd.DataFrame, layers: pd.DataFrame | None = None) -> None:
    """Draw skew and layer time over ep, a curve for each factor and for each placement of a trace.

    model: its name; frame: of imbalance.sweep.closed_form; layers: of imbalance.twin.layer_frame.
    """
    figure, axes = _figure(10, 4, panels=2)
    panels = (("skew", "par", "skew of the worst device"), ("prefill_us", "layer_us", "us per layer in prefill"))
    for panel, (closed, measured, label) in zip(axes, panels, strict=True):
        for factor, part in frame.groupby("factor"):
            panel.plot(part.ep, part[closed], marker=".", label=f"factor {factor:.4g}")
        if layers is not None:
            for name, part in layers.groupby("placement", sort=False):
                mean = part.groupby("ep")[measured].mean()
                panel.plot(mean.index, mean, linestyle="--", marker="x", label=f"trace, {name}")
        panel.set(xlabel="ep", ylabel=label, title=f"{model}: {label}")
        panel.set_xscale("log", base=2)
        panel.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
