"""Where the seconds above a perfect balance go, case by case and in sum, and what the policy can change: as cells."""

from __future__ import annotations

from collections.abc import Sequence

from .companions import NOTHING, Companions, case_key
from .comparison import LARGEST, Row, case_name, is_number
from .explanations import CALLS, read_explanation
from .lever import Excess, Lever, lever
from .parts import NAMES, Parts, seconds_above, seconds_parts, sums

HEADINGS = ("case", "above balance s", *NAMES, "what to change")
Pairs = Sequence[tuple[Row, Row]]


def case_lever(row: Row, reference: Row, companions: Companions) -> Lever | None:
    """What the policy can change in a case; None where its parts are not known."""
    parts, baseline = seconds_parts(row, reference), seconds_parts(reference, reference)
    redeployed, least = row.get("redeployed_layers"), row.get("roll_out_least_par")
    if parts is None or baseline is None or not is_number(redeployed, int) or not is_number(least, least=-LARGEST):
        return None
    least_roll_out = row["cost"]["balanced_compute_seconds"] * least
    return lever(parts, baseline, least_roll_out, redeployed, _excess(row, companions))


def text_rows(pairs: Pairs, companions: Companions) -> list[tuple[str, ...]]:
    """Rows under HEADINGS for the log, and one for all cases, with DS-EPLB's below; none where a part is not known."""
    mine, theirs = sums_of(pairs)
    if mine is None or theirs is None:
        return []
    rows = []
    for row, reference in pairs:
        advice = case_lever(row, reference, companions)
        rows.append((case_name(row), *part_cells(row, seconds_parts(row, reference)), advice.short if advice else "-"))
    return [*rows, ("all cases", *sum_cells(mine), ""), ("all cases, DS-EPLB", *sum_cells(theirs), "")]


def sums_of(pairs: Pairs) -> tuple[Parts | None, Parts | None]:
    """The parts of all cases together: the policy's, and DS-EPLB's."""
    return (
        sums([seconds_parts(row, reference) for row, reference in pairs]),
        sums([seconds_parts(reference, reference) for _, reference in pairs]),
    )


def part_cells(row: Row, parts: Parts | None) -> tuple[str, ...]:
    """Seconds above a perfect balance, and the parts; a dash for each that is not known."""
    return (f"{seconds_above(row):.3f}", *("-" if part is None else f"{part:.3f}" for part in parts or (None,) * 5))


def sum_cells(parts: Parts) -> tuple[str, ...]:
    """The same of several cases."""
    return (f"{sum(parts):.3f}", *(f"{part:.3f}" for part in parts))


def _excess(row: Row, companions: Companions) -> Excess | None:
    """PAR above clairvoyant DS-EPLB's over the iterations; None where the curves or calls are not shown, or broken."""
    if companions is NOTHING:
        return None
    key = case_key(row)
    par, clairvoyant = companions.series.get(f"{key}/par"), companions.reference.get(f"{key}/clairvoyant/par")
    if par is None or clairvoyant is None or par.shape != clairvoyant.shape or par.ndim != 1:
        return None
    try:
        explanation = read_explanation(companions.explanations.get(key))
    except ValueError:
        return None
    redeploying = [call for call in explanation.calls if call["applied"]]
    ends = [call["iteration"] + row["latency"] + call["applied"] for call in redeploying]
    stops = [*(call["iteration"] for call in redeploying), len(par)][1:]
    spans = list(zip(ends, stops, strict=True))
    if len(explanation.calls) == CALLS:
        # What the calls that are not told did is not known.
        spans = spans[:-1]
    declined = next((number for number, call in enumerate(explanation.calls) if call["applied"]), 0)
    return Excess(
        par - clairvoyant,
        explanation.fixed,
        spans,
        row["window"],
        explanation.starts,
        explanation.shifts,
        declined,
        explanation.untouched_layers,
        [call["iteration"] for call in explanation.calls],
        row["cost"]["balanced_compute_seconds"],
    )
