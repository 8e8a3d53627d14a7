"""Curves over the iterations of a case, with fewer points for the page, and the same numbers as a short table."""

from __future__ import annotations

import json
from typing import NamedTuple

import numpy as np

from ..companions import Companions
from .markup import Markup, content, download, element, figure, folded, table

# More points than pixels on most screens.
POINTS = 400
STRETCHES = 16
LABELS = {"policy": "this policy", "ds_eplb": "DS-EPLB", "static": "static", "clairvoyant": "clairvoyant"}


class Curves(NamedTuple):
    """Curves of a case, each [iteration]: PAR (mean over layers) and changed slots, for policy and yardsticks."""

    iterations: int
    par: dict[str, np.ndarray]
    transmit: dict[str, np.ndarray]


def bin_size(iterations: int) -> int:
    """Iterations per point, so that there are at most POINTS."""
    return -(-iterations // POINTS)


def bin_means(values: np.ndarray, size: int) -> np.ndarray:
    """Means [bin] of `size` values each; the last bin may hold fewer values."""
    starts = np.arange(0, len(values), size)
    return np.add.reduceat(values, starts) / np.diff(np.append(starts, len(values)))


def bin_totals(changes: np.ndarray, size: int) -> np.ndarray:
    """Running totals [bin] as they stand at the end of each bin."""
    ends = np.append(np.arange(size, len(changes), size), len(changes))
    return np.cumsum(changes)[ends - 1]


def case_curves(key: str, companions: Companions) -> Curves | None:
    """The curves of a case; None without the policy's curve. Curves of another length than that are left out."""
    places = {"policy": (companions.series, key)}
    places |= {name: (companions.reference, f"{key}/{name}") for name in ("ds_eplb", "static", "clairvoyant")}
    by_kind: dict[str, dict[str, np.ndarray]] = {"par": {}, "transmit": {}}
    policy_par = companions.series.get(f"{key}/par")
    if policy_par is None or policy_par.ndim != 1:
        return None
    for kind, curves in by_kind.items():
        for name, (series, place) in places.items():
            values = series.get(f"{place}/{kind}")
            if values is not None and values.shape == policy_par.shape:
                curves[name] = values
    return Curves(len(policy_par), by_kind["par"], by_kind["transmit"])


def curve_figures(curves: Curves, fixed: int, name: str) -> Markup:
    """PAR and transmit amount so far over the iterations, drawn by the page's script, and the numbers as a table.

    fixed: how many first iterations are the same for every policy (drawn grey); name: of the file to download.
    """
    size = bin_size(curves.iterations)
    each = f"each point is the mean of {size} iterations" if size > 1 else "a point for each iteration"
    end = f"a point every {size} iterations" if size > 1 else "a point for each iteration"
    par = {name: bin_means(values, size).round(4).tolist() for name, values in curves.par.items()}
    transmit = {name: bin_totals(values, size).astype(int).tolist() for name, values in curves.transmit.items()}
    shape = {"iterations": curves.iterations, "size": size, "fixed": fixed}
    grey = "; grey: the same for every policy" if fixed else ""
    figures = [_figure("PAR over the iterations", f"mean over layers; {each}{grey}", "PAR", par, shape)]
    if transmit:
        title, note = "Transmit amount so far", f"changed slots; {end}"
        figures.append(_figure(title, note, "slots", transmit, shape))
    headings = ["first iteration", *(f"PAR {LABELS[who]}" for who in par)]
    headings += [f"transmit {LABELS[who]}" for who in transmit]
    points = zip(range(1, curves.iterations + 1, size), *par.values(), *transmit.values(), strict=True)
    return content(*figures, _numbers(curves), download(f"{name}.csv", headings, points))


def _figure(title: str, note: str, unit: str, points: dict[str, list[float]], shape: dict[str, int]) -> Markup:
    whole = all(isinstance(values[0], int) for values in points.values())
    data = shape | {"whole": whole, "unit": unit, "labels": LABELS, "curves": points}
    # Numbers and labels of this module only; no text of a participant's comes here.
    block = Markup(json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c"))
    without = element(
        "noscript", element("p", "A script draws this figure. The numbers are listed below.", class_="muted")
    )
    return figure(
        title,
        note,
        element("div", without, class_="plot", data_name=title),
        element("script", block, type="application/json"),
        kind="curves",
    )


def _numbers(curves: Curves) -> Markup:
    size = -(-curves.iterations // STRETCHES)
    headings, columns = ["iterations"], []
    for name, values in curves.par.items():
        headings.append(f"PAR, {LABELS[name]}")
        columns.append([f"{value:.3f}" for value in bin_means(values, size)])
    for name, values in curves.transmit.items():
        headings.append(f"transmit, {LABELS[name]}")
        columns.append([f"{value:.0f}" for value in bin_totals(values, size)])
    starts = range(0, curves.iterations, size)
    spans = [f"{start + 1} to {min(start + size, curves.iterations)}" for start in starts]
    caption = "Mean PAR of a stretch of iterations, and transmit amount at the stretch's end"
    return folded("Numbers of the curves", table(caption, headings, list(zip(spans, *columns, strict=True))))
