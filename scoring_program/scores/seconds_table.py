"""Cells of the tables that split the seconds above a perfect balance, for each case and all cases together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .companions import NOTHING, Companions, case_key
from .comparison import LARGEST, Row, case_name, is_number
from .excess import Call, Excess
from .explanations import CALLS, read_explanation
from .lever import Bounds, Lever, lever
from .modeled_runtime import modeled_seconds, transfer_seconds
from .moves import Moves
from .parts import NAMES, Parts, seconds_above, seconds_parts, sums
from .yardsticks import yardstick_row

HEADINGS = ("case", "above balance s", *NAMES, "what to change")
Pairs = Sequence[tuple[Row, Row]]


def case_lever(row: Row, reference: Row, companions: Companions) -> Lever | None:
    """The change that saves the most seconds of a case; None where the case's parts are not known."""
    parts, baseline = seconds_parts(row, reference), seconds_parts(reference, reference)
    redeployed, least = row.get("redeployed_layers"), row.get("roll_out_least_par")
    if parts is None or baseline is None or not is_number(redeployed, int) or not is_number(least, least=-LARGEST):
        return None
    compute, static = row["cost"]["balanced_compute_seconds"], yardstick_row(reference, "static")
    clairvoyant, unmoved = yardstick_row(reference, "clairvoyant"), modeled_seconds(static) if static else 0.0
    bounds = Bounds(
        modeled_seconds(row),
        compute * least,
        redeployed,
        modeled_seconds(row) - unmoved if static else 0.0,
        unmoved - modeled_seconds(clairvoyant) if static and clairvoyant else 0.0,
        transfer_seconds(row | {"transmit_amount": 1}),
    )
    return lever(parts, baseline, bounds, _moves(row, reference, companions), _excess(row, companions))


def text_rows(pairs: Pairs, companions: Companions) -> list[tuple[str, ...]]:
    """Rows under HEADINGS for the log, then rows for all cases and for DS-EPLB; no rows where a part is not known."""
    mine, theirs = sums_of(pairs)
    if mine is None or theirs is None:
        return []
    rows = []
    for row, reference in pairs:
        advice = case_lever(row, reference, companions)
        rows.append((case_name(row), *part_cells(row, seconds_parts(row, reference)), advice.short if advice else "-"))
    return [*rows, ("all cases", *sum_cells(mine), ""), ("all cases, DS-EPLB", *sum_cells(theirs), "")]


def advice_lines(pairs: Pairs, companions: Companions) -> list[str]:
    """The advice of each case as a sentence; cases whose parts are not known are left out."""
    said = {case_name(row): case_lever(row, reference, companions) for row, reference in pairs}
    return [f"{name}: {advice.advice}" for name, advice in said.items() if advice]


def sums_of(pairs: Pairs) -> tuple[Parts | None, Parts | None]:
    """The parts summed over all cases: the policy's, and DS-EPLB's."""
    return (
        sums([seconds_parts(row, reference) for row, reference in pairs]),
        sums([seconds_parts(reference, reference) for _, reference in pairs]),
    )


def part_cells(row: Row, parts: Parts | None) -> tuple[str, ...]:
    """Cells: seconds above a perfect balance, and the parts; a dash for an unknown number."""
    return (f"{seconds_above(row):.3f}", *("-" if part is None else f"{part:.3f}" for part in parts or (None,) * 5))


def sum_cells(parts: Parts) -> tuple[str, ...]:
    """The cells of part_cells for several cases together."""
    return (f"{sum(parts):.3f}", *(f"{part:.3f}" for part in parts))


def _excess(row: Row, companions: Companions) -> Excess | None:
    """PAR above clairvoyant DS-EPLB's over the iterations; None where curves or calls are hidden, missing or broken."""
    if companions is NOTHING:
        return None
    key = case_key(row)
    par, *known = (
        companions.series.get(f"{key}/par"),
        *(companions.reference.get(f"{key}/{name}/par") for name in ("clairvoyant", "ds_eplb")),
    )
    if par is None or par.ndim != 1 or any(curve is None or curve.shape != par.shape for curve in known):
        return None
    clairvoyant, baseline = known
    try:
        explanation = read_explanation(companions.explanations.get(key))
    except ValueError:
        return None
    calls = [Call(*(call[field] for field in Call._fields)) for call in explanation.calls]
    return Excess(
        par - clairvoyant,
        baseline - clairvoyant,
        explanation.fixed,
        row["window"],
        row["latency"],
        calls,
        len(explanation.heat_map),
        explanation.untouched_layers,
        explanation.starts,
        explanation.shifts,
        row["cost"]["balanced_compute_seconds"],
        transfer_seconds(row | {"transmit_amount": 1}),
        len(calls) < CALLS,
    )


def _moves(row: Row, reference: Row, companions: Companions) -> Moves:
    """Changed slots of each iteration (at most one layer is applied in each); where hidden, their mean per layer.

    DS-EPLB renames no device, so it changes nearly every slot of a layer.
    """
    curves = (
        companions.series.get(f"{case_key(row)}/transmit"),
        companions.reference.get(f"{case_key(row)}/ds_eplb/transmit"),
    )
    if all(curve is not None and curve.ndim == 1 for curve in curves):
        return Moves(curves[0], float(max(curve.max() for curve in curves)), row["ep"])
    mine, theirs = (
        each["transmit_amount"] / each["redeployed_layers"] if is_number(each.get("redeployed_layers"), int, 1) else 0.0
        for each in (row, reference)
    )
    return Moves(np.full(row["redeployed_layers"], mine), max(mine, theirs), row["ep"])
