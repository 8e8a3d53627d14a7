"""The table that splits the seconds above a perfect balance into five parts."""

from __future__ import annotations

from collections.abc import Sequence

from ..comparison import case_name
from ..lever import Lever
from ..parts import seconds_parts
from ..seconds_table import HEADINGS, Pairs, part_cells, sum_cells, sums_of
from .markup import Markup, content, element, table

KEY = (
    "Seconds above a perfect balance; DS-EPLB in grey. Fixed: lost before the first layer can be applied, the same for "
    "every policy. Roll-out: lost because the listed layers are applied one per iteration, not all at once. "
    "Clairvoyant's own: lost by clairvoyant DS-EPLB in the iterations after the fixed ones. Transfer: spent on moved "
    "experts. Settled: the rest, lost by plans that are out of date or not good enough; below 0 where the policy is "
    "better than clairvoyant DS-EPLB. What to change: the change that saves the most seconds by these numbers, minus "
    "the seconds that the change costs. A large part may have no known remedy: for example, no policy can save the "
    "seconds between a switch of the loads and the first call that could see the switch. The page Evaluation defines "
    "the seconds that each change saves."
)


def parts_table(pairs: Pairs, levers: Sequence[Lever | None], links: Sequence[str]) -> Markup | None:
    """The page's table; None where a part of a case is not known."""
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
