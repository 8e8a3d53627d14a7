"""A recommendation in sentences: what to deploy, what to expect, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .intervals import STATISTICS, batches_for_bound, interval, resampled
from .methods import PAR
from .recommendation import SHOWN, Row, best, ends, of_batches

# By how much the loads of early and late requests differ more than those of random parts ever do, to be told.
FAR = 2.0
NAMES = {PAR: "even PAR"}


def verdict(rows: Sequence[Row], objective: str, draws: int, seed: int, shared: bool = False) -> list[str]:
    """Sentences: what to deploy, what to expect, and whether that is surely better than the next best row.

    shared: whether the rows serve a shared expert, which no policy has, so that nothing is said for one.
    """
    at = best(rows, objective)
    chosen, count = rows[at], len(rows[at].held_out)
    name, routers = NAMES.get(objective, objective), ", ".join(dict.fromkeys(chosen.routers))
    # For a policy latency counts for nothing, and the rows are not chosen by it.
    shown = (PAR,) if objective == PAR else (*SHOWN, PAR)
    parts = [_with_ends(chosen, one, draws, seed) for one in shown]
    layers = f"{len(chosen.planned)} layer{'s' * (len(chosen.planned) > 1)}"
    told = [
        f"Deploy row {at + 1}: {chosen.name}, router {routers}, the best of {len(rows)} rows by the held-out {name}.",
        f"Expect, for a batch through {layers}: {', '.join(parts)}, measured on {count} batches of held-out requests.",
    ]
    if len(rows) > 1:
        told.append(_next(rows, at, objective, draws, seed))
    if objective != PAR:
        told += _lower_elsewhere(rows, at, objective)
    level = best(rows, PAR)
    least, other = rows[level].figure(PAR), chosen.figure(PAR)
    if least < other and not shared:
        told.append(
            "A policy spreads each expert's tokens evenly over its replicas and has no router. For a policy export "
            f"plans/{level + 1}.npz (even PAR {least:.3f} against {other:.3f}), or choose by it with --objective par."
        )
    elif objective == PAR:
        told.append("No row is searched: exchanges have levelled the loads, and the search goes by latency alone.")
    return told + _too_few(chosen)


def drifted(by_time: float, at_random: float, name: str = "") -> list[str]:
    """A sentence where the loads of the parts by time lie FAR apart, as split.drift has them. name: of the trace."""
    if by_time <= FAR * at_random:
        return []
    where = f" of {name}" if name else ""
    shares = [f"{100 * share:.1f} %" for share in (by_time, at_random)]
    return [
        f"Early and late requests{where} differ: {shares[0]} of the choices would have to go to other experts for "
        f"equal loads, between random parts at most {shares[1]}. Where the file's order is no time, for example "
        "sorted by topic, next: --split random."
    ]


def _next(rows: Sequence[Row], at: int, objective: str, draws: int, seed: int) -> str:
    """The next best row, and how the two differ batch by batch."""
    chosen, others = rows[at], [row for row in rows if row is not rows[at]]
    second = others[best(others, objective)]
    statistic, name = of_batches(objective), NAMES.get(objective, objective)
    drawn = [resampled(row.values(objective), statistic, draws, seed) for row in (chosen, second)]
    overlap = ""
    if not np.isnan(high := ends(chosen, objective, draws, seed)[1]):
        lower = high < ends(second, objective, draws, seed)[0]
        overlap = f"The interval of the chosen {name} {'lies below' if lower else 'overlaps'} the next row's. "
    least, most = interval(drawn[1] - drawn[0])
    number = next(place for place, row in enumerate(rows, 1) if row is second)
    told = (
        f"Next: row {number}, {second.name}. {overlap}Batch by batch, the {name} of the chosen one is "
        f"{_between(least, most, objective)}."
    )
    if least <= 0 and 2 * second.seconds < chosen.seconds:
        quick, slow = (f"{row.seconds:.1f} s" for row in (second, chosen))
        told += f" Row {number} took {quick} of one processor to plan, row {at + 1} {slow}."
    return told


def _lower_elsewhere(rows: Sequence[Row], at: int, objective: str) -> list[str]:
    """Sentences for the statistics in which another row is lower."""
    told = []
    for shown in SHOWN:
        other = best(rows, shown)
        lower, own = rows[other].figure(shown), rows[at].figure(shown)
        if shown != objective and lower < own:
            told.append(
                f"Row {other + 1} has a lower {shown}: {lower:.1f} us against {own:.1f} (plans/{other + 1}.npz)."
            )
    return told


def _between(least: float, most: float, objective: str) -> str:
    """The ends of an improvement in words that need no sign."""
    form, unit = (".3f", "") if objective == PAR else (".1f", " us")
    if least == most == 0:
        return "the same"
    if least > 0 or most < 0:
        small, large = sorted((abs(least), abs(most)))
        return f"between {small:{form}} and {large:{form}}{unit} {'lower' if least > 0 else 'higher'}"
    return f"between {-least:{form}}{unit} higher and {most:{form}}{unit} lower, so not surely lower"


def _with_ends(row: Row, objective: str, draws: int, seed: int) -> str:
    low, high = ends(row, objective, draws, seed)
    form, unit = (".3f", "") if objective == PAR else (".1f", " us")
    around = f"at least {low:{form}}" if np.isnan(high) else f"{low:{form}} to {high:{form}}"
    return f"{NAMES.get(objective, objective)} {row.figure(objective):{form}}{unit} ({around})"


def _too_few(row: Row) -> list[str]:
    """A sentence where the batches are too few for the upper end of a percentile, and one where for anything."""
    count, largest = len(row.held_out), row.held_out.max()
    few = {name: needed for name in SHOWN if count < (needed := batches_for_bound(name))}
    told = []
    if few:
        sure = " and ".join(f"the true {name} with {100 * (1 - STATISTICS[name] ** count):.0f} %" for name in few)
        told = [
            f"No upper end of {' and '.join(few)} is known. The largest of {count} held-out batches ({largest:.1f} us) "
            f"exceeds {sure} probability; 97.5 % takes {' and '.join(map(str, few.values()))} batches. Next: a longer "
            "trace, or a smaller --share, which leaves more requests for measuring."
        ]
    return [*told, f"With {count} held-out batches no interval says much."] if count < 10 else told
