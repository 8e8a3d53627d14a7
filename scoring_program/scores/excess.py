"""A policy's PAR above clairvoyant DS-EPLB's over the iterations, and the causes of the difference."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

# A switch shifts the loads so many times as far as usual, and so much of them.
PEAK, LEAST_SHIFT = 2.0, 0.03
# A rise of PAR below which no switch is named.
LEAST_RISE = 0.03
NEARLY = 0.9


class Call(NamedTuple):
    """A call: its iteration, how many layers were listed and applied, changed slots."""

    iteration: int
    listed: int
    applied: int
    changed: int


class Excess(NamedTuple):
    """PAR above clairvoyant DS-EPLB's, mean over layers, with the numbers that explain the difference.

    above: [iteration] of the whole trace; baseline: the same of DS-EPLB; fixed: how many iterations are the same for
    everybody; window, latency: the grid's; calls: the first of them, all where all_told; layers, untouched: how many
    there are, and were never redeployed; starts, shifts: first iteration of each bin, and how far the loads shift at
    it; compute_seconds: of a perfect balance; slot_seconds: of a changed slot.
    """

    above: np.ndarray
    baseline: np.ndarray
    fixed: int
    window: int
    latency: int
    calls: Sequence[Call]
    layers: int
    untouched: int
    starts: np.ndarray
    shifts: np.ndarray
    compute_seconds: float
    slot_seconds: float
    all_told: bool = True


class Span(NamedTuple):
    """The iterations from a redeployment's last layer to the next call that redeploys, as indices into `above`."""

    start: int
    stop: int
    call: Call


def spans(excess: Excess) -> list[Span]:
    """The spans between redeployments; start may exceed stop where the trace's end cuts a span off."""
    calls = [call for call in excess.calls if call.applied]
    stops = [*(call.iteration for call in calls), len(excess.above)][1:]
    found = [
        Span(call.iteration + excess.latency + call.applied, stop, call)
        for call, stop in zip(calls, stops, strict=True)
    ]
    # What the calls that are not told did is not known.
    return found if excess.all_told else found[:-1]


def seconds(excess: Excess, par: float) -> float:
    """Modeled seconds of a sum of PAR over iterations."""
    return excess.compute_seconds * float(par) / len(excess.above)


def late(excess: Excess) -> tuple[int, float]:
    """How many calls declined before the first redeployment, and the seconds lost by that.

    What lies above the first redeployment's span, from the fixed iterations on to its call.
    """
    found = spans(excess)
    if not found:
        return 0, 0.0
    declined = sum(call.iteration < found[0].call.iteration for call in excess.calls)
    after = excess.above[found[0].start : found[0].stop]
    lost = excess.above[excess.fixed : found[0].call.iteration] - (after.mean() if after.size else 0.0)
    return declined, seconds(excess, lost.sum()) if declined else 0.0


def ageing(excess: Excess) -> tuple[float, float, float]:
    """Means of the first and the last eighth of the spans, each span by its length, and the rise in an iteration.

    Only after redeployments of nearly as many layers as the largest, as layers that are left out are older; a span
    ends where the loads switch: that is no matter of age. Zeros where there is no such span.
    """
    found, rows = spans(excess), []
    most = max((span.call.applied for span in found), default=0)
    for span in found:
        part = excess.above[span.start : _until_switch(excess, span)]
        if len(part) and span.call.applied >= NEARLY * most:
            eighth = max(1, len(part) // 8)
            rows.append((len(part), part[:eighth].mean(), part[-eighth:].mean()))
    if not rows:
        return 0.0, 0.0, 0.0
    length, first, last = np.array(rows).T
    first, last = float(length @ first / length.sum()), float(length @ last / length.sum())
    return first, last, (last - first) / (7 / 8 * float(length @ length / length.sum()))


def of_ds_eplb(excess: Excess) -> Excess:
    """The excess of DS-EPLB, which redeploys all layers at every call."""
    places = range(excess.window + 1, len(excess.above), excess.window + 1 + excess.latency + excess.layers)
    calls = [Call(place, excess.layers, excess.layers, 0) for place in places]
    return excess._replace(above=excess.baseline, calls=calls, untouched=0, all_told=True)


def unpaid(excess: Excess, slots: np.ndarray) -> tuple[list[int], float]:
    """Iterations of the calls whose layers cost more than they gained, and the seconds that declining would have saved.

    slots: what each iteration's layer would have to change. Gained: PAR below what it would have risen to without the
    call, twice as fast as before, as plans grow old the faster the older they are. Not looked at: the first
    redeployment, one of some layers only, which were chosen, and one with a switch of the loads near it.
    """
    places, found, calls, saved = [middle for _, middle in switches(excess)], spans(excess), [], 0.0
    for before, span in pairwise(found):
        part, call = excess.above[before.start : before.stop], span.call.iteration
        eighth = len(part) // 8
        chosen = span.call.listed < excess.layers
        if not eighth or chosen or any(before.start < place < span.stop for place in places):
            continue
        rise = max(part[-eighth:].mean() - part[:eighth].mean(), 0.0) / (7 / 8 * len(part))
        ages = np.arange(span.stop - call) + eighth / 2
        gained = float((part[-eighth:].mean() + 2 * rise * ages - excess.above[call : span.stop]).sum())
        cost = excess.slot_seconds * float(slots[call : span.start].sum())
        if (loss := cost - max(seconds(excess, gained), 0.0)) > 0:
            calls.append(call)
            saved += loss
    return calls, saved


def forgone(excess: Excess) -> tuple[list[int], float]:
    """Iterations of the calls that left layers out where redeploying all would have paid, and the seconds lost.

    Gained: what lies above DS-EPLB, which redeploys all layers at every call, and above the window after the last
    redeployment of most layers, from the roll-out's end on, for a window; less the layers' slots, as many for each as
    before. Not where the loads switched since.
    """
    places, found, calls, saved = [middle for _, middle in switches(excess)], spans(excess), [], 0.0
    roll_out = excess.latency + excess.layers
    for call in excess.calls:
        earlier = [span for span in found if span.call.iteration < call.iteration]
        taken = calls and call.iteration < calls[-1] + excess.window
        if call.listed >= excess.layers or not earlier or taken:
            continue
        start = call.iteration + roll_out
        stop = start + excess.window
        if any(earlier[-1].start < place < stop for place in places):
            continue
        base = max(earlier, key=lambda span: (span.call.applied, span.start)).start
        young, old = excess.above[base : base + excess.window].mean(), excess.above[start:stop]
        above = old.sum() - max(excess.baseline[start:stop].sum(), young * len(old))
        per_layer = sum(span.call.changed for span in earlier) / sum(span.call.applied for span in earlier)
        cost = excess.slot_seconds * per_layer * (excess.layers - call.applied)
        if (net := seconds(excess, above) - cost) > 0:
            calls.append(call.iteration)
            saved += net
    return calls, saved


def switch_at(excess: Excess) -> tuple[int, float]:
    """The iteration, from 1, of the switch after which PAR stays highest above clairvoyant DS-EPLB's, and the seconds
    until the next redeployment; (0, 0) for none.

    A switch: a peak of the loads' shifts, far above the others. What counts is the rise from the half window before to
    the one after the first call that could see the switch, with its layers, as nobody can be faster.
    """
    later, found = excess.above[excess.fixed :], spans(excess)
    usual = float(later.mean()) if later.size else 0.0
    half, largest, best = max(1, excess.window // 2), max(LEAST_RISE, 0.25 * usual), (0, 0.0)
    for begin, middle in switches(excess):
        end = _reaction(excess, begin)
        before, after = excess.above[max(begin - half, excess.fixed) : begin], excess.above[end : end + half]
        # Clairvoyant DS-EPLB plans for both sides of a switch and may lie above the policy before it.
        level = max(before.mean() if before.size else 0.0, 0.0)
        if after.size and (rise := float(after.mean() - level)) > largest:
            stop = next((span.start for span in found if span.start > end), len(excess.above))
            largest, best = rise, (middle, seconds(excess, (excess.above[end:stop] - level).sum()))
    return best


def waiting(excess: Excess) -> float:
    """Seconds lost between each switch and the first call that could see the switch."""
    lost = [excess.above[middle : _reaction(excess, begin)] for begin, middle in switches(excess)]
    return seconds(excess, sum(float(np.maximum(part, 0).sum()) for part in lost))


def switches(excess: Excess) -> list[tuple[int, int]]:
    """For each switch after the fixed iterations: the iteration where the loads begin to switch, and the middle."""
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


def _until_switch(excess: Excess, span: Span) -> int:
    return next((middle for _, middle in switches(excess) if span.start < middle < span.stop), span.stop)


def _reaction(excess: Excess, begin: int) -> int:
    """The iteration at which the first call after a switch has all layers applied; the trace's end without a call."""
    call = next((call.iteration for call in excess.calls if call.iteration > begin), len(excess.above))
    return next((span.start for span in spans(excess) if 0 < span.start - call <= excess.window), call)
