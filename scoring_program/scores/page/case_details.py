"""What the page shows of one case: why the case costs its seconds, curves, heat maps and percentiles."""

from __future__ import annotations

import numpy as np

from ..companions import NOTHING, Companions, case_key
from ..comparison import Row, case_name, is_number
from ..explanations import Explanation, read_explanation
from ..lever import Lever
from ..modeled_runtime import case_score
from .calls_table import calls_table
from .curves import Curves, case_curves, curve_figures
from .explanation import costliest_windows, redeployment_figure
from .heat_map import heat_maps
from .markup import Markup, content, element, folded, table

PERCENTILES = {"p50": "par_p50", "p95": "par_p95", "p99": "par_p99"}
LISTED_LAYERS = 8
PERCENTILE_HEADINGS = ("percentile", "this policy", "DS-EPLB", "balancedness")
BALANCEDNESS = "Balancedness, a word of other engines, is 1 / PAR of this policy. 1 is a perfect balance."
HIDDEN = "The traces are hidden: the page shows only the numbers above."


def case_details(
    row: Row, reference: Row, companions: Companions, advice: Lever | None, number: int, is_open: bool
) -> Markup:
    """The folded part of a measured case. Links lead to the anchor `case-<number>` inside."""
    try:
        said = element("p", advice.advice, class_="lever") if advice else None
        inside = content(said, _inside(row, reference, companions))
    except Exception as error:
        # The score stands without the explanation. A companion file of an unforeseen form must not take the score away.
        inside = element("p", f"This case cannot be shown in detail ({type(error).__name__}).", class_="note")
    score = element("span", f"{case_score(row, reference):.2f}", class_="number")
    summary = content(element("span", case_name(row), class_="name"), " ", score)
    return folded(summary, element("div", inside, class_="inside", id=f"case-{number}"), kind="case", is_open=is_open)


def _inside(row: Row, reference: Row, companions: Companions) -> Markup:
    if companions is NOTHING:
        return element("p", HIDDEN, class_="note")
    key = case_key(row)
    curves = case_curves(key, companions)
    try:
        explanation = read_explanation(companions.explanations[key]) if key in companions.explanations else None
        broken = None
    except ValueError as error:
        explanation, broken = None, f"The case's entry in explain.json is broken: {error}."
    parts: list[object] = []
    if explanation is None:
        parts.append(element("p", broken or "The run has no explanation of this case.", class_="note"))
    else:
        parts += _why(key, explanation, curves, companions)
    parts.append(element("h3", "How it went"))
    if curves is None:
        parts.append(element("p", "The run has no curves of this case.", class_="note"))
    else:
        name = case_name(row).replace("/", " ")
        parts.append(curve_figures(curves, explanation.fixed if explanation else 0, name))
    if explanation is not None:
        parts += [calls_table(explanation.calls, row.get("call_seconds")), *_maps(key, explanation, curves, companions)]
    percentiles = content(_percentiles(row, reference), _layers_percentiles(key, companions))
    redeployment = redeployment_figure(explanation) if explanation else None
    parts.append(element("div", redeployment, element("div", percentiles), class_="pair"))
    return content(*parts)


def _why(key: str, explanation: Explanation, curves: Curves | None, companions: Companions) -> list[object]:
    curve = curves.par.get("ds_eplb") if curves else None
    windows = costliest_windows(explanation, _baseline_map(key, explanation, companions), curve)
    about = (
        f"Up to iteration {explanation.fixed} every policy has the same PAR. Below are the three windows after that "
        "iteration with the highest mean PAR. For each window: the costliest layers, and the experts on the hottest "
        "device in a layer's worst iteration. DS-EPLB: mean PAR of the baseline in the same layer and time bins."
    )
    return [element("h3", "Why this score"), element("p", about, class_="muted"), windows]


def _maps(key: str, explanation: Explanation, curves: Curves | None, companions: Companions) -> list[object]:
    baseline = _baseline_map(key, explanation, companions)
    maps = {"this policy": explanation.heat_map} | ({} if baseline is None else {"DS-EPLB": baseline})
    last = curves.iterations if curves else int(explanation.starts[-1])
    pictures = heat_maps(maps, last, explanation.fixed)
    return [pictures, folded("Numbers of the heat map", _layers_table(key, explanation, baseline, companions))]


def _baseline_map(key: str, explanation: Explanation, companions: Companions) -> np.ndarray | None:
    heat = companions.reference.get(f"{key}/ds_eplb/heat_map")
    return heat if heat is not None and heat.shape == explanation.heat_map.shape else None


def _layers_table(key: str, explanation: Explanation, baseline: np.ndarray | None, companions: Companions) -> Markup:
    heat, starts = explanation.heat_map, explanation.starts
    layer_par = companions.series.get(f"{key}/layer_par")
    if layer_par is None or layer_par.shape != heat.shape[:1]:
        layer_par = heat.mean(axis=1)
    baseline_par = companions.reference.get(f"{key}/ds_eplb/layer_par")
    if baseline_par is None or baseline_par.shape != layer_par.shape:
        baseline_par = None if baseline is None else baseline.mean(axis=1)
    rows = []
    for layer in np.argsort(-layer_par, kind="stable")[:LISTED_LAYERS]:
        worst = int(heat[layer].argmax())
        baseline_worst = "-" if baseline is None else f"{baseline[layer, worst]:.3f}"
        mean = "-" if baseline_par is None else f"{baseline_par[layer]:.3f}"
        cells = (
            f"layer {layer}",
            f"{layer_par[layer]:.3f}",
            mean,
            f"from {starts[worst]}",
            f"{heat[layer, worst]:.3f}",
        )
        rows.append((*cells, baseline_worst))
    headings = ("layer", "mean PAR", "DS-EPLB", "worst bin", "PAR there", "DS-EPLB there")
    return table(f"The {len(rows)} layers with the highest mean PAR", headings, rows)


def _percentiles(row: Row, reference: Row) -> Markup:
    rows = []
    for name, field in {"mean": "mean_par", **PERCENTILES}.items():
        values = [source.get(field) for source in (row, reference)]
        known = [value if is_number(value, least=1) else None for value in values]
        rows.append((name, *_par_cells(known)))
    return table("PAR of all layers and iterations", PERCENTILE_HEADINGS, rows, note=BALANCEDNESS)


def _layers_percentiles(key: str, companions: Companions) -> Markup | None:
    """p50, p95 and p99 over layers of the layers' mean PAR, nearest-rank."""
    sources = companions.series.get(f"{key}/layer_par"), companions.reference.get(f"{key}/ds_eplb/layer_par")
    if sources[0] is None:
        return None
    rows = []
    for percent in (50, 95, 99):
        known = [
            None if values is None else float(np.sort(values, axis=None)[-(-percent * values.size // 100) - 1])
            for values in sources
        ]
        rows.append((f"p{percent}", *_par_cells(known)))
    return table("Mean PAR over layers", PERCENTILE_HEADINGS, rows)


def _par_cells(values: list[float | None]) -> list[str]:
    """Cells: PAR of the policy, PAR of DS-EPLB, balancedness of the policy."""
    mine, theirs = ("-" if value is None else f"{value:.4f}" for value in values)
    return [mine, theirs, f"{1 / values[0]:.3f}" if values[0] else "-"]
