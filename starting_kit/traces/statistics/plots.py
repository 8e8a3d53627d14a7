"""The page's plots, drawn by matplotlib, which is the extra `plots`."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from .tables import devices

# Read on white and on near-black alike, as the page has no say in an image's colours.
TEXT = "#7d7d7d"
COLOURS = ("#3d85c6", "#d9822b", "#3f9a5a", "#b7559a")
SETTINGS = {
    "axes.edgecolor": TEXT,
    "axes.labelcolor": TEXT,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 11,
    "font.family": "sans-serif",
    "font.size": 10,
    "grid.alpha": 0.25,
    "grid.color": TEXT,
    "axes.grid": True,
    "legend.frameon": False,
    "legend.labelcolor": TEXT,
    "svg.fonttype": "none",
    "svg.hashsalt": "trace statistics",
    "text.color": TEXT,
    "xtick.color": TEXT,
    "ytick.color": TEXT,
}


class Plot(NamedTuple):
    """A plot as a file: its title, and its bytes as SVG."""

    title: str
    svg: bytes


def draw(summary: Mapping[str, Any]) -> list[Plot] | None:
    """All plots of a summary, or None where matplotlib is not installed. Equal summaries give equal bytes."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        return None
    drawn = []
    with matplotlib.rc_context(SETTINGS):
        for title, paint in PLOTS.items():
            figure = Figure(figsize=(6.0, 3.4), layout="constrained")
            axes = figure.subplots()
            axes.set_prop_cycle(color=COLOURS)
            paint(axes, summary)
            if axes.get_legend_handles_labels()[0]:
                # Above the axes, where it covers no curve.
                axes.legend(fontsize=9, loc="lower left", bbox_to_anchor=(0, 1), ncols=4, borderaxespad=0)
            buffer = io.BytesIO()
            figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
            drawn.append(Plot(title, buffer.getvalue()))
    return drawn


def _ranks(axes: Any, summary: Mapping[str, Any]) -> None:
    by_rank = summary["ranks"]
    ranks = range(1, len(by_rank["median"]) + 1)
    axes.fill_between(ranks, by_rank["least"], by_rank["greatest"], alpha=0.25, linewidth=0, label="all layers")
    axes.loglog(ranks, by_rank["median"], label="median of the layers")
    axes.set(xlabel="rank of the expert", ylabel="load / mean load")


def _layers(axes: Any, summary: Mapping[str, Any]) -> None:
    for name in ("log_sigma", "gini", "zipf_slope"):
        axes.plot(_numbers(summary["layers"][name]), label=name)
    axes.set(xlabel="layer", ylim=(0, None))


def _neighbours(axes: Any, summary: Mapping[str, Any]) -> None:
    neighbours = summary["neighbours"]
    axes.semilogx(neighbours["distances"], _numbers(neighbours["correlation"]), marker="o", base=2)
    axes.axhline(-1 / (summary["shape"][2] - 1), color=TEXT, linestyle=":", label="independent")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set(xlabel="ids apart", ylabel="correlation of log load")


def _variation(axes: Any, summary: Mapping[str, Any]) -> None:
    variation = summary["total_variation"]
    for part, label in (("raw", "as counted"), ("excess", "excess"), ("noise", "noise"), ("shuffled", "shuffled")):
        axes.semilogx(variation["lags"], variation[part], marker="o", base=2, label=label)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set(xlabel=f"lag in iterations, blocks of {variation['block']}", ylabel="total variation", ylim=(0, None))


def _autocorrelation(axes: Any, summary: Mapping[str, Any]) -> None:
    figures = summary["autocorrelation"]
    axes.plot(figures["slow_lags"], _numbers(figures["slow_correlation"]), label="slow part")
    axes.plot(figures["slow_lags"], _numbers(figures["shuffled_correlation"]), label="shuffled")
    axes.plot(figures["lags"], _numbers(figures["correlation"]), "o", label="single iterations")
    zero_lag = summary["drift"]["trace"]["zero_lag"]
    if zero_lag is not None:
        axes.axvline(zero_lag, color=TEXT, linestyle=":", label=f"zero at {zero_lag:.0f}")
    axes.set(xlabel="lag in iterations", ylabel="autocorrelation")


def _spectrum(axes: Any, summary: Mapping[str, Any]) -> None:
    spectrum = summary["spectrum"]
    for part, label in (("shares", "as they move"), ("shifted_shares", "experts shifted in time")):
        axes.plot(spectrum["components"], _numbers(spectrum[part]), marker="o", label=label)
    axes.set(xlabel="components", ylabel="part of the slow variance", ylim=(0, 1.05))


def _curve(kind: str) -> Callable[[Any, Mapping[str, Any]], None]:
    def paint(axes: Any, summary: Mapping[str, Any]) -> None:
        for balance in summary["balance"]:
            curve = balance[f"{kind}_curve"]
            step = summary["shape"][0] / len(curve)
            axes.semilogy([step * (point + 0.5) for point in range(len(curve))], curve, label=f"ep {devices(balance)}")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("{x:g}")
        axes.set(xlabel="iteration", ylabel="PAR, mean over layers")

    return paint


def _numbers(values: list[float | None]) -> list[float]:
    """For matplotlib, which draws a gap for NaN."""
    return [float("nan") if value is None else value for value in values]


PLOTS: dict[str, Callable[[Any, Mapping[str, Any]], None]] = {
    "Load by rank": _ranks,
    "Skew of the layers": _layers,
    "Neighbouring experts": _neighbours,
    "Total variation against lag": _variation,
    "Autocorrelation of deviations": _autocorrelation,
    "Covariance spectrum": _spectrum,
    "PAR of the static deployment": _curve("static"),
    "PAR of DS-EPLB": _curve("ds_eplb"),
}
