"""What a policy can change in a case: the largest part of its seconds that is its doing, and what makes it smaller.

The settled part has four causes, told apart by how far PAR lies above clairvoyant DS-EPLB's over the iterations: a rise
where the loads switch, a rise between two redeployments, as a plan grows old, and what is there from a redeployment on,
of a plan that knew too little, or that is worse than DS-EPLB's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .parts import Parts

# Seconds of a case, and PAR, below which nothing is worth a change.
LEAST, LEAST_RISE = 0.05, 0.03
# A plan loses so much more of it at its end that the loads must drift.
LEAST_DRIFT = 0.15
# A settled part so many times DS-EPLB's, which plans from the last window alone, is not a matter of a short memory.
MORE = 1.1
# A switch shifts the loads so many times as far as usual, and so much of them.
PEAK, LEAST_SHIFT = 2.0, 0.03


class Lever(NamedTuple):
    """part: its name as in parts.NAMES, "" for none; seconds: what it costs; short: for a table; advice: a sentence."""

    part: str
    seconds: float
    short: str
    advice: str


class Excess(NamedTuple):
    """How far the policy's PAR, mean over layers, lies above clairvoyant DS-EPLB's.

    above: [iteration] of the whole trace; fixed: how many iterations are the same for everybody; spans: from a
    redeployment's last layer to the call of the next redeployment, as places in `above`; window: the grid's; starts,
    shifts: first iteration of each bin, and how far the loads shift at it; declined: calls before the first that
    redeployed; untouched: layers that were never redeployed; calls: their iterations;
    compute_seconds: of a perfect balance.
    """

    above: np.ndarray
    fixed: int
    spans: Sequence[tuple[int, int]]
    window: int
    starts: np.ndarray
    shifts: np.ndarray
    declined: int = 0
    untouched: int = 0
    calls: Sequence[int] = ()
    compute_seconds: float = 60.0


def lever(parts: Parts, baseline: Parts, least_roll_out: float, redeployed_layers: int, excess: Excess | None) -> Lever:
    """The largest part of a policy's doing, and what changes it.

    baseline: DS-EPLB's parts; least_roll_out: seconds of the roll-out, had the same layers come in the best order;
    excess: None where the curves are not known.
    """
    if not redeployed_layers and parts.settled >= LEAST:
        advice = (
            f"Nothing was redeployed: {parts.settled:.2f} s are lost above clairvoyant DS-EPLB. "
            "Answer a call with layers to redeploy."
        )
        return Lever("settled", parts.settled, "redeploy", advice)
    waited = excess.compute_seconds * waiting_par(excess) if excess else 0.0
    mine = {
        "roll-out": parts.roll_out - least_roll_out,
        "settled": parts.settled - waited,
        "transfer": parts.transfer,
    }
    part = max(mine, key=lambda name: mine[name])
    seconds = mine[part]
    if seconds < LEAST:
        advice = (
            "No part of the policy's doing is worth a change. What is left is fixed, or clairvoyant DS-EPLB's own: "
            "only devices that stay even in single iterations lower that (planning.risk, planning.exchange)."
        )
        return Lever("", seconds, "-", advice)
    short, how = _settled(parts, baseline, excess) if part == "settled" else WAYS[part]
    of = f" of {parts.roll_out:.2f} s" if part == "roll-out" else ""
    if part == "settled" and waited >= LEAST:
        of = f" beside {waited:.2f} s between a switch and the first call that could see it"
    most = f"The largest part that the policy can change is {part}, {seconds:.2f} s{of}"
    return Lever(part, seconds, short, f"{most}: {how}")


WAYS = {
    "transfer": (
        "fewer moves",
        "move fewer slots. Rename devices and align slots (planning.relabelling), redeploy only layers that gain more "
        "than their slots cost (planning.gate), or change the live table instead of planning anew "
        "(planning.reassignment, planning.exchange).",
    ),
    "roll-out": (
        "order by gain",
        "one layer is applied per iteration, so list those first that gain most, and leave out those that gain less "
        "than their slots cost (planning.gate).",
    ),
}
EITHER = ("longer memory, or react to switches", "plan from more than the last window, or react to switches sooner.")
OFF = "the plans are off from their first iteration on"
SCATTER = (
    "plan for the scatter",
    f"{OFF}. Plan for how iterations scatter around their mean (planning.risk), and until no exchange helps "
    "(planning.exchange).",
)
MEMORY = (
    "longer memory",
    f"{OFF}, as DS-EPLB's are, which plans from the last window alone. Plan from more of them (planning.memory), and "
    "for how iterations scatter around their mean (planning.risk).",
)
DRIFT = (
    "newer loads",
    f"{OFF}, and the more so the older they are: the loads drift. Plan from the newest loads (planning.memory), and "
    "for how iterations scatter around their mean (planning.risk).",
)


def _settled(parts: Parts, baseline: Parts, excess: Excess | None) -> tuple[str, str]:
    """What makes the settled part smaller: in short, and in words; causes that are certain come first."""
    if excess is None:
        return EITHER
    if excess.declined and _before_any(excess) > 0.5:
        return (
            "redeploy sooner",
            f"most of that is lost before iteration {excess.spans[0][0]}, as {excess.declined} call"
            f"{'s' * (excess.declined > 1)} before that declined. Redeploy at the first call.",
        )
    if at := switch_at(excess):
        return (
            f"react to the switch at {at}",
            f"the loads switch at about iteration {at}, and the plans after that are for what was before. Forget that, "
            "also where the switch lies inside a window (planning.memory.switch), and redeploy at the next call.",
        )
    first, last = ageing(excess)
    if last - first > max(0.5 * first, LEAST_RISE):
        return (
            "redeploy again",
            f"plans grow old: from the first to the last eighth of the iterations between two redeployments, PAR rises "
            f"from {first:.3f} to {last:.3f} above clairvoyant DS-EPLB's. Redeploy again the layers that gain more "
            "than their slots cost (planning.gate).",
        )
    if parts.settled > MORE * baseline.settled:
        if excess.untouched:
            return (
                "redeploy the other layers",
                f"layers that were never redeployed: {excess.untouched}. List those, too, that gain more than their "
                "slots cost (planning.gate).",
            )
        # Worse plans for fewer moves may be worth it.
        if parts.settled + parts.transfer <= baseline.settled + baseline.transfer:
            return SCATTER
        theirs = f"lose {baseline.settled:.2f} s" if baseline.settled > 0 else f"gain {-baseline.settled:.2f} s"
        return (
            "better plans",
            f"{OFF}, where DS-EPLB's, of the last window, {theirs}. Plan from no older loads than DS-EPLB, and as "
            "evenly (placement.ds_eplb, or planning.placing), until no exchange helps (planning.exchange).",
        )
    if len(excess.spans) < 2:
        return SCATTER
    return DRIFT if last > first * (1 + LEAST_DRIFT) else MEMORY


def _before_any(excess: Excess) -> float:
    """Which part of what lies above clairvoyant DS-EPLB's is there before the first redeployment ends."""
    whole = float(excess.above[excess.fixed :].sum())
    return float(excess.above[excess.fixed : excess.spans[0][0]].sum()) / whole if whole > 0 else 0.0


def switch_at(excess: Excess) -> int:
    """The iteration, from 1, of the switch after which PAR stays highest above clairvoyant DS-EPLB's; 0 for none.

    A switch: a peak of the loads' shifts, far above the others. What counts is the rise from the half window before to
    the one after the first call that could see the switch, with its layers, as nobody can be faster.
    """
    later = excess.above[excess.fixed :]
    half, largest, at = max(1, excess.window // 2), max(LEAST_RISE, 0.25 * float(later.mean())), 0
    for begin, middle in switches(excess):
        end = _reaction(excess, begin)
        before, after = excess.above[max(begin - half, excess.fixed) : begin], excess.above[end : end + half]
        # Clairvoyant DS-EPLB plans for both sides of a switch and may lie above the policy before it.
        if after.size and (rise := float(after.mean() - max(before.mean() if before.size else 0, 0))) > largest:
            largest, at = rise, middle
    return at


def waiting_par(excess: Excess) -> float:
    """What is lost between the switches and the first calls that could see them, as a part of mean PAR."""
    spans = [(middle, _reaction(excess, begin)) for begin, middle in switches(excess)]
    return float(sum(np.maximum(excess.above[start:stop], 0).sum() for start, stop in spans)) / len(excess.above)


def _reaction(excess: Excess, begin: int) -> int:
    """Where the first call after a switch has had its layers applied; the trace's end, where no call comes."""
    call = next((place for place in excess.calls if place > begin), len(excess.above))
    return next((end for end, _ in excess.spans if 0 < end - call <= excess.window), call)


def switches(excess: Excess) -> list[tuple[int, int]]:
    """Where the loads begin to switch, and the middle of the switch, after the fixed iterations."""
    shifts, found = excess.shifts, []
    high = shifts > PEAK * float(np.median(shifts)) + LEAST_SHIFT
    stops = np.append(excess.starts[1:], len(excess.above) + 1)
    for place in np.flatnonzero(high):
        middle = int(excess.starts[place] + stops[place]) // 2
        if shifts[place] == shifts[max(place - 2, 0) : place + 3].max() and excess.fixed < middle < len(excess.above):
            first = place
            while first and high[first - 1]:
                first -= 1
            found.append((int(excess.starts[first]) - 1, middle))
    return found


def ageing(excess: Excess) -> tuple[float, float]:
    """Means of the first and the last eighth of the spans between redeployments, each span by its length.

    A span ends where the loads switch: that is no matter of age.
    """
    first, last, length, places = 0.0, 0.0, 0, [middle for _, middle in switches(excess)]
    for start, end in excess.spans:
        stop = next((place for place in places if start < place < end), end)
        part = excess.above[start:stop]
        eighth = len(part) // 8
        if eighth:
            first, last = first + len(part) * part[:eighth].mean(), last + len(part) * part[-eighth:].mean()
            length += len(part)
    return (first / length, last / length) if length else (0.0, 0.0)
