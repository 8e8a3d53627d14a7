"""The figures of a summary as rows of text, and the layers' as CSV."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from scores.table import aligned

from .family import LEAST_ITERATIONS, thresholds
from .glossary import DRIFT_FIGURES, LAYER_FIGURES

Table = tuple[Sequence[str], list[Sequence[str]]]


def number(value: float | None) -> str:
    """A figure in a table: integers whole, floats with four decimals, a dash for none."""
    if value is None or math.isnan(value):
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.4f}"


def devices(balance: Mapping[str, Any]) -> str:
    """An ep as in a case's name: with its redundant experts where they are another number."""
    ep, redundant = balance["ep"], balance["redundant_experts"]
    return f"{ep}" if ep == redundant else f"{ep} +{redundant}"


def layer_table(summary: Mapping[str, Any]) -> Table:
    """Mean, least and greatest of the layers' figures."""
    import pandas as pd

    extents = pd.DataFrame(summary["layers"], dtype=float)[list(LAYER_FIGURES)].agg(["mean", "min", "max"]).T
    rows = [(name, *map(number, row)) for name, *row in extents.itertuples()]
    return ("per layer", "mean", "least", "greatest"), rows


def balance_table(summary: Mapping[str, Any]) -> Table:
    """A row for each ep and number of redundant experts."""
    fields = ("static", "ds_eplb", "transmit_amount", "after_first", "noise_floor", "packed")
    rows = [(devices(balance), *(number(balance[field]) for field in fields)) for balance in summary["balance"]]
    return ("ep", "static", "DS-EPLB", "transmit", "after first", "noise floor 128", "packed"), rows


def neighbour_table(summary: Mapping[str, Any]) -> Table:
    """Correlation of log loads by distance of ids."""
    return _pairs("ids apart", "correlation", summary["neighbours"], ("distances", "correlation"))


def variation_table(summary: Mapping[str, Any]) -> Table:
    """Total variation by lag."""
    variation = summary["total_variation"]
    heading = (f"lag of blocks of {variation['block']}", "total variation", "noise", "excess", "shuffled")
    columns = [map(number, variation[part]) for part in ("lags", "raw", "noise", "excess", "shuffled")]
    return heading, list(zip(*columns, strict=True))


def autocorrelation_table(summary: Mapping[str, Any]) -> Table:
    """Autocorrelation by lag; the slow ones where their lags meet those of single iterations."""
    figures = summary["autocorrelation"]
    slow, shuffled = (
        dict(zip(figures["slow_lags"], figures[part], strict=True))
        for part in ("slow_correlation", "shuffled_correlation")
    )
    rows = [
        (number(lag), number(value), number(slow.get(lag)), number(shuffled.get(lag)))
        for lag, value in zip(figures["lags"], figures["correlation"], strict=True)
    ]
    return ("lag", "single iterations", "slow part", "slow part, shuffled"), rows


def drift_table(summary: Mapping[str, Any]) -> Table:
    """Drift and covariance of the trace and of its shuffle null, and what they say of its family."""
    drift, says = summary["drift"], thresholds()
    rows = [
        (name, number(drift["trace"][name]), number(drift["shuffled"][name]), says.get(name, ""))
        for name in DRIFT_FIGURES
    ]
    return ("drift", "trace", "shuffled", "family"), rows


def family(summary: Mapping[str, Any]) -> str:
    """The family that the trace resembles, as a sentence."""
    found = summary["families"]
    if len(found) == 1:
        return f"Of the families of traces it resembles {found[0]} most."
    said = f"Of the families of traces it lies between {', '.join(found[:-1])} and {found[-1]}"
    if summary["shape"][0] < LEAST_ITERATIONS:
        return f"{said}: fewer than {LEAST_ITERATIONS} iterations do not say which."
    return f"{said}."


def spectrum_table(summary: Mapping[str, Any]) -> Table:
    """Parts of the slow variance by number of components."""
    spectrum = summary["spectrum"]
    columns = [map(number, spectrum[part]) for part in ("components", "shares", "shifted_shares")]
    return ("components", "part of the slow variance", "experts shifted in time"), list(zip(*columns, strict=True))


def terminal(summary: Mapping[str, Any]) -> str:
    """The compact table of the command line."""
    tables = (
        *(layer_table, balance_table, drift_table),
        *(spectrum_table, neighbour_table, variation_table, autocorrelation_table),
    )
    head = "\n".join([headline(summary), family(summary), *(f"note: {note}" for note in summary["notes"])])
    return "\n\n".join([head, *(aligned(*table(summary)) for table in tables)]) + "\n"


def headline(summary: Mapping[str, Any]) -> str:
    """The trace, its shape and its counts in a line."""
    counts = summary["counts"]
    return (
        f"{summary['trace']} {summary['shape']}, window {summary['window']}: {counts['per_iteration']:.0f} counts per"
        f" layer and iteration (relative spread {counts['spread']:.3f}), values of one {100 * counts['of_one']:.2f} %"
    )


def layers_csv(summary: Mapping[str, Any]) -> str:
    """A row for each layer, a column for each figure; empty where there is none."""
    import pandas as pd

    return pd.DataFrame(summary["layers"]).to_csv(index_label="layer", lineterminator="\n")


def _pairs(first: str, second: str, figures: Mapping[str, Any], keys: tuple[str, str]) -> Table:
    return (first, second), list(zip(*(map(number, figures[key]) for key in keys), strict=True))
