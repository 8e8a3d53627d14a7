"""The lab's plots, with matplotlib (the extra `lab`); without it, all of them raise Problem."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from placement.errors import Problem

from ..serving.cost import replica_tokens
from ..serving.replicas import Replicas
from ..serving.torus import Torus
from ..traces.batches import Batches

if TYPE_CHECKING:
    import pandas as pd


def _figure(width: float, height: float, panels: int = 1) -> tuple[Any, Any]:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        next_step = ".venv/bin/python -m pip install matplotlib"
        raise Problem("plots need matplotlib", "it is not installed", "the extra `lab`", next_step) from None
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(1, panels)


def placement_grid(path: Path, batches: Batches, replicas: Replicas, routed: np.ndarray, torus: Torus) -> None:
    """Mean tokens per batch of each device on the grid, with the experts that it holds."""
    loads = np.bincount(
        replicas.device, replica_tokens(batches, replicas, routed).mean(axis=0), minlength=torus.devices
    )
    figure, axes = _figure(1.2 * torus.cols + 1, 0.5 * torus.rows + 1)
    image = axes.imshow(loads.reshape(torus.rows, torus.cols), cmap="viridis", aspect="auto")
    for device, experts in enumerate(replicas.table):
        text = " ".join(str(expert) for expert in experts if expert >= 0)
        axes.text(device % torus.cols, device // torus.cols, text, ha="center", va="center", fontsize=6, color="white")
    axes.set(xlabel="column", ylabel="row", title="Tokens per batch, and each device's experts")
    figure.colorbar(image)
    figure.savefig(path, dpi=150)


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
