"""Where the seconds above a perfect balance go, case by case and in sum, and what the policy can change."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from ..companions import NOTHING, Companions, case_key
from ..comparison import LARGEST, Row, case_name, is_number
from ..lever import Excess, Lever, lever
from ..parts import NAMES, Parts, seconds_above, seconds_parts, sums
from .explanation import read_explanation
from .markup import Markup, content, element, table

HEADINGS = ("case", "above balance s", *NAMES, "what to change")
KEY = (
    "Seconds above those of a perfect balance, and DS-EPLB's in grey. Fixed: the iterations before a layer can be "
    "applied, the same for every policy. Roll-out: what is lost because layers that a call listed are not applied at "
    "once. Clairvoyant's own: what clairvoyant DS-EPLB loses in the same iterations. Transfer: moved experts. Settled: "
    "the rest, below 0 where the policy is better than clairvoyant DS-EPLB."
)
Pairs = Sequence[tuple[Row, Row]]


def case_lever(row: Row, reference: Row, companions: Companions) -> Lever | None:
    """What the policy can change in a case; None where its parts are not known."""
    parts, redeployed, least = (
        seconds_parts(row, reference),
        row.get("redeployed_layers"),
        row.get("roll_out_least_par"),
    )
    if parts is None or not is_number(redeployed, int) or not is_number(least, least=-LARGEST):
        return None
    return lever(parts, row["cost"]["balanced_compute_seconds"] * least, redeployed, _excess(row, companions))


def text_rows(pairs: Pairs, companions: Companions) -> list[tuple[str, ...]]:
    """Rows under HEADINGS for the log, and one for all cases, with DS-EPLB's below; none where a part is not known."""
    mine, theirs = _sums(pairs)
    if mine is None or theirs is None:
        return []
    rows = []
    for row, reference in pairs:
        advice = case_lever(row, reference, companions)
        rows.append((case_name(row), *_numbers(row, seconds_parts(row, reference)), advice.short if advice else "-"))
    return [*rows, ("all cases", *_sum_numbers(mine), ""), ("all cases, DS-EPLB", *_sum_numbers(theirs), "")]


def parts_table(pairs: Pairs, levers: Sequence[Lever | None], links: Sequence[str]) -> Markup | None:
    """The page's table; None where a part is not known."""
    mine, theirs = _sums(pairs)
    if mine is None or theirs is None:
        return None
    rows = []
    for (row, reference), advice, link in zip(pairs, levers, links, strict=True):
        numbers = _numbers(row, seconds_parts(row, reference))
        others = _numbers(reference, seconds_parts(reference, reference))
        short = advice.short if advice else "-"
        rows.append((element("a", case_name(row), href=link), *_beside(numbers, others), short))
    rows.append(("all cases", *_beside(_sum_numbers(mine), _sum_numbers(theirs)), ""))
    return table("Where the seconds go", HEADINGS, rows, "parts stacked", KEY)


def _sums(pairs: Pairs) -> tuple[Parts | None, Parts | None]:
    return (
        sums([seconds_parts(row, reference) for row, reference in pairs]),
        sums([seconds_parts(reference, reference) for _, reference in pairs]),
    )


def _numbers(row: Row, parts: Parts | None) -> tuple[str, ...]:
    return (f"{seconds_above(row):.3f}", *("-" if part is None else f"{part:.3f}" for part in parts or (None,) * 5))


def _sum_numbers(parts: Parts) -> tuple[str, ...]:
    return (f"{sum(parts):.3f}", *(f"{part:.3f}" for part in parts))


def _beside(numbers: Sequence[str], others: Sequence[str]) -> list[Markup]:
    return [
        content(number, " ", element("small", other, title="DS-EPLB"))
        for number, other in zip(numbers, others, strict=True)
    ]


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
    spans = list(pairwise([*(call["iteration"] for call in redeploying), len(par)]))
    spans = [(end, stop) for end, (_, stop) in zip(ends, spans, strict=True)]
    return Excess(par - clairvoyant, explanation.fixed, spans, row["window"])
