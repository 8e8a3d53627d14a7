"""The table of where the seconds above a perfect balance go."""

from __future__ import annotations

from collections.abc import Sequence

from ..comparison import case_name
from ..lever import Lever
from ..parts import seconds_parts
from ..seconds_table import HEADINGS, Pairs, part_cells, sum_cells, sums_of
from .markup import Markup, content, element, table

KEY = (
    "Seconds above those of a perfect balance, and DS-EPLB's in grey. Fixed: the iterations before a layer can be "
    "applied, the same for every policy. Roll-out: what is lost because layers that a call listed are not applied at "
    "once. Clairvoyant's own: what clairvoyant DS-EPLB loses in the same iterations. Transfer: moved experts. Settled: "
    "the rest, of plans that are out of date or not good enough; below 0 where the policy is better than clairvoyant "
    "DS-EPLB. What to change: what saves most, as far as these numbers tell, net of what it costs. A part may be large "
    "and nothing be known to lower it, or not all of it, such as what passes between a switch of the loads and the "
    "first call that could see it. The page Evaluation defines what each change saves."
)


def parts_table(pairs: Pairs, levers: Sequence[Lever | None], links: Sequence[str]) -> Markup | None:
    """The page's table; None where a part is not known."""
    mine, theirs = sums_of(pairs)
    if mine is None or theirs is None:
        return None
    rows = []
    for (row, reference), advice, link in zip(pairs, levers, links, strict=True):
        numbers = part_cells(row, seconds_parts(row, reference))
        others = part_cells(reference, seconds_parts(reference, reference))
        short = advice.short if advice else "-"
        rows.append((element("a", case_name(row), href=link), *_beside(numbers, others), short))
    rows.append(("all cases", *_beside(sum_cells(mine), sum_cells(theirs)), ""))
    return table("Where the seconds go", HEADINGS, rows, "parts stacked", KEY)


def _beside(numbers: Sequence[str], others: Sequence[str]) -> list[Markup]:
    return [
        content(number, " ", element("small", other, title="DS-EPLB"))
        for number, other in zip(numbers, others, strict=True)
    ]
