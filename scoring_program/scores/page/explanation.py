"""Why a case costs its seconds: the numbers of explain.json beside DS-EPLB's."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..explanations import Explanation
from .markup import Markup, content, element, figure, table

HEADINGS = ("layer", "mean PAR", "DS-EPLB", "worst iteration", "PAR then", "hottest device", "its experts")


def costliest_windows(explanation: Explanation, baseline: np.ndarray | None, curve: np.ndarray | None) -> Markup:
    """The costliest windows, each with the layers, devices and experts that caused it.

    baseline: DS-EPLB's PAR [layer, bin] in the same bins; curve: DS-EPLB's PAR [iteration].
    """
    parts = []
    for window in explanation.windows:
        first, last = window["first_iteration"], window["last_iteration"]
        baseline_mean = "" if curve is None or last > len(curve) else f" (DS-EPLB {curve[first - 1 : last].mean():.3f})"
        caption = f"Iterations {first} to {last}: mean PAR {window['mean_par']:.3f}{baseline_mean}"
        rows = [
            _layer_cells(layer, _in_bins(explanation.starts, baseline, window, layer)) for layer in window["layers"]
        ]
        parts.append(table(caption, HEADINGS, rows, "window stacked"))
    return content(*parts)


def redeployment_figure(explanation: Explanation) -> Markup:
    """Device loads before and after the largest redeployment, as bars on one scale."""
    largest = explanation.redeployment
    if largest is None:
        return element("p", "This policy never redeployed a layer. Every iteration ran on the initial deployment.")
    loads = {"before": largest["loads_before"], "after": largest["loads_after"]}
    high = max(1.0, *loads["before"], *loads["after"])
    about = (
        f"call {largest['call']}, iterations {largest['first_iteration']} to {largest['last_iteration']}, "
        f"{largest['changed']} changed slots. Shown: layer {largest['layer']}, mean over a window. "
        "The dashed line at 1 is the mean device load"
    )
    bars = (_bars(name, values, high) for name, values in loads.items())
    return figure("Device loads around the largest redeployment", about, *bars, kind="loads")


def _layer_cells(layer: dict[str, Any], baseline: float | None) -> tuple[object, ...]:
    ratio = layer["device_load"] / layer["mean_load"] if layer["mean_load"] else 0.0
    experts = [
        f"{expert['expert']}: {expert['hotness']} tokens"
        + (f" over {expert['replicas']} replicas" if expert["replicas"] > 1 else "")
        for expert in layer["experts"]
    ]
    return (
        f"layer {layer['layer']}",
        f"{layer['mean_par']:.3f}",
        "-" if baseline is None else f"{baseline:.3f}",
        str(layer["iteration"]),
        f"{layer['par']:.3f}",
        f"device {layer['device']}, {ratio:.2f} times mean",
        content(*(element("span", expert, class_="expert") for expert in experts)),
    )


def _in_bins(
    starts: np.ndarray, baseline: np.ndarray | None, window: dict[str, Any], layer: dict[str, Any]
) -> float | None:
    """DS-EPLB's mean PAR in the layer over the bins that begin in the window.

    Where no bin begins in the window, the bin that holds the window. None without DS-EPLB's numbers.
    """
    if baseline is None or layer["layer"] >= len(baseline):
        return None
    stop = int(np.searchsorted(starts, window["last_iteration"], side="right"))
    # A bin that begins before the window would bring what was before.
    first = min(int(np.searchsorted(starts, window["first_iteration"])), max(stop - 1, 0))
    return float(baseline[layer["layer"], first:stop].mean()) if first < stop else None


def _bars(name: str, loads: list[float], high: float) -> Markup:
    if not loads:
        return element("p", f"{name}: there is no iteration to show", class_="muted")
    width, height = len(loads), 100.0
    tops = [height * (1 - load / high) for load in loads]
    bars = "".join(f"M{device + 0.1:g} 100V{top:.1f}h.8V100z" for device, top in enumerate(tops))
    hottest = int(np.argmax(loads))
    summary = f"{name}: from {min(loads):.2f} to {max(loads):.2f}, hottest device {hottest}"
    mean = height * (1 - 1 / high)
    svg = element(
        "svg",
        element("title", f"Device loads {summary}"),
        element("path", d=bars, class_="bars"),
        element("path", d=f"M0 {mean:.1f}H{width}", class_="mean"),
        viewBox=f"0 0 {width} 100",
        preserveAspectRatio="none",
        role="img",
        aria_label=f"Device loads {summary}",
    )
    marks = sorted({part * (width - 1) // 4 for part in range(5)})
    numbers = (element("span", f"device {device}" if not device else str(device)) for device in marks)
    return content(element("p", summary, class_="muted"), svg, element("div", *numbers, class_="along"))
