"""The lever of a case: the change to a policy that would save the most seconds, judged from the result files.

Each part of the seconds has a list of changes. Each change has the seconds that it saves, minus the seconds that it
costs elsewhere. All changes are measured alike, so the largest is worth trying first. Where no change is worth a trial,
the lever says so. The page *Evaluation* defines the changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from .excess import Excess, ageing, forgone, late, of_ds_eplb, seconds, spans, switch_at, unpaid, waiting
from .moves import Moves, relabelled
from .parts import Parts

# Below so many seconds, and such a share of the case's, a change does not stand out.
LEAST, LEAST_SHARE = 0.05, 0.002
# A settled part so many times DS-EPLB's is no matter of a short memory.
MORE = 1.1


class Lever(NamedTuple):
    """A change and the seconds that it saves.

    part: a name of parts.NAMES, "" for none; seconds: saved by the change, an estimate; short: words for a table;
    advice: one or more sentences.
    """

    part: str
    seconds: float
    short: str
    advice: str


class Bounds(NamedTuple):
    """Numbers that bound what a change can save, all but redeployed_layers in seconds.

    modeled: modeled time of the case; least_roll_out: the roll-out with the same layers in the best order;
    redeployed_layers: how many applications of a layer; above_static: modeled time minus static's; to_gain: static's
    modeled time minus clairvoyant DS-EPLB's; slot_seconds: transfer of one slot.
    """

    modeled: float
    least_roll_out: float
    redeployed_layers: int
    above_static: float
    to_gain: float
    slot_seconds: float


def lever(parts: Parts, baseline: Parts, bounds: Bounds, moves: Moves, excess: Excess | None) -> Lever:
    """The change that saves the most seconds.

    baseline: DS-EPLB's parts; excess: None where the curves are not known.
    """
    if not bounds.redeployed_layers and parts.settled >= LEAST:
        advice = (
            f"No layer was redeployed. The case loses {parts.settled:.2f} s above clairvoyant DS-EPLB. "
            "Answer a call with layers to redeploy."
        )
        return Lever("settled", parts.settled, "redeploy", advice)
    changes = [*_transfer(parts, bounds, moves, excess), _roll_out(parts, bounds)]
    changes += _settled(parts, baseline, bounds, excess) if excess else [_hidden(parts)]
    best = max(changes, key=lambda change: change.seconds)
    if best.seconds < max(LEAST, LEAST_SHARE * bounds.modeled):
        most = f"{best.short}, {best.seconds:.2f} s" if best.seconds > 0.005 else "no change saves 0.01 s"
        advice = (
            f"No change stands out: by these numbers none would save {LEAST_SHARE:.1%} of the case's modeled seconds "
            f"(largest: {most}). The other seconds are fixed or clairvoyant DS-EPLB's own. Only plans whose devices "
            "stay even in single iterations lower clairvoyant's own (planning.risk, planning.exchange)."
        )
        return Lever("", best.seconds, "-", advice)
    whole = {"transfer": parts.transfer, "roll-out": parts.roll_out, "settled": parts.settled}[best.part]
    beside = ""
    if best.part == "settled" and excess and (waited := waiting(excess)) >= LEAST:
        beside = f", {waited:.2f} s of it between a switch and the first call that could see it"
    most = f"Largest saving: {best.short}, about {best.seconds:.2f} s ({best.part} is {whole:.2f} s{beside})."
    return best._replace(advice=f"{most} {best.advice}")


def _transfer(parts: Parts, bounds: Bounds, moves: Moves, excess: Excess | None) -> Iterator[Lever]:
    """Changes to the transfer: rename devices, decline calls that cost more than they gain, move nothing."""
    fewer, redeployed = relabelled(moves), moves.changed[moves.changed > 0]
    if len(redeployed):
        yield Lever(
            "transfer",
            bounds.slot_seconds * float((moves.changed - fewer).sum()),
            "rename devices",
            f"A redeployed layer changes {redeployed.mean():.0f} of about {moves.slots:.0f} slots. Rename the devices "
            f"of each plan and align its slots (planning.relabelling): about {fewer.max():.0f} slots change then, at "
            "the same PAR.",
        )
    saved = min(bounds.above_static, parts.transfer)
    yield Lever(
        "transfer",
        saved,
        "fewer moves",
        "The moves cost more than they gain: without moves the case would be faster. Redeploy only layers that gain "
        "more than their changed slots cost (planning.gate).",
    )
    if excess:
        calls, saved = unpaid(excess, fewer)
        yield Lever(
            "transfer",
            saved,
            "fewer moves",
            f"The redeployments at iterations {_some(calls)} cost more than they gained. Redeploy only layers that "
            "gain more than their changed slots cost (planning.gate). Settled rises then, but by less.",
        )


def _some(calls: list[int]) -> str:
    return ", ".join(map(str, calls[:3])) + ", ..." * (len(calls) > 3)


def _roll_out(parts: Parts, bounds: Bounds) -> Lever:
    return Lever(
        "roll-out",
        parts.roll_out - bounds.least_roll_out,
        "order by gain",
        "One layer is applied per iteration. List the layers that gain most first.",
    )


def _hidden(parts: Parts) -> Lever:
    """Half of the settled part: the last window differs from the loads' mean as much as the coming window does."""
    how = "Plan from more windows than the last, or react to switches of the loads sooner."
    return Lever("settled", parts.settled / 2, "longer memory, or react to switches", how)


def _settled(parts: Parts, baseline: Parts, bounds: Bounds, excess: Excess) -> list[Lever]:
    """Changes to the settled part: redeploy sooner, after a switch, again, or other layers; make better plans."""
    found, changes = spans(excess), []

    def change(saved: float, short: str, advice: str) -> None:
        changes.append(Lever("settled", saved, short, advice))

    if not found:
        return [_hidden(parts)]
    declined, saved = late(excess)
    change(
        saved,
        "redeploy sooner",
        f"The policy declined {declined} call{'s' * (declined > 1)} before the first redeployment (iteration "
        f"{found[0].call.iteration}). Redeploy at the first call.",
    )
    at, saved = switch_at(excess)
    change(
        saved,
        f"react to the switch at {at}",
        f"The loads switch at about iteration {at}, but later plans still fit the loads before the switch. Forget the "
        "hotness before a switch, also inside a window (planning.memory.switch), and redeploy at the next call.",
    )
    calls, saved = forgone(excess)
    change(
        saved,
        "redeploy again",
        f"The calls at iterations {_some(calls)} left layers out, whose plans grew old. DS-EPLB redeploys all layers "
        "there and gains more than their changed slots cost. List every layer that gains more than its changed slots "
        "cost (planning.gate).",
    )
    per_layer = parts.transfer / bounds.redeployed_layers
    theirs = min(parts.settled - baseline.settled, bounds.to_gain * excess.untouched / excess.layers)
    change(
        theirs - excess.untouched * per_layer if excess.untouched else 0.0,
        "redeploy the other layers",
        f"Layers that were never redeployed: {excess.untouched}. List every layer that gains more than its changed "
        "slots cost (planning.gate).",
    )
    if parts.settled > MORE * baseline.settled:
        # Worse plans for fewer moves may be worth it, and the changes above have reasons of their own.
        known = max(each.seconds for each in changes)
        better = parts.settled + parts.transfer - baseline.settled - baseline.transfer - max(known, 0.0)
        words = f"loses {baseline.settled:.2f} s" if baseline.settled > 0 else f"gains {-baseline.settled:.2f} s"
        change(
            better,
            "better plans",
            f"DS-EPLB plans from the last window alone, and {words} in that part. Plan from loads as new as DS-EPLB's, "
            "spread them as evenly (placement.ds_eplb or planning.placing), and exchange experts until no exchange "
            "helps (planning.exchange).",
        )
    return [*changes, *_loads(excess)]


def _loads(excess: Excess) -> Iterator[Lever]:
    """Changes to the loads that plans are made from: for losses right after a redeployment, and for losses by age."""
    first, last, rise = ageing(excess)
    length = len(excess.above) - spans(excess)[0].start
    off = f"Right after a redeployment PAR is {first:.3f} above clairvoyant DS-EPLB's"
    grown = (
        f"PAR is {first:.3f} above clairvoyant DS-EPLB's in the first eighth of the iterations between two "
        f"redeployments, and {last:.3f} above in the last eighth"
    )
    theirs, _, _ = ageing(of_ds_eplb(excess))
    half, delay = rise * excess.window / 2, rise * (excess.latency + excess.layers / 2)
    # Plans of a window's mean, as DS-EPLB's, are half a window old; better ones are newer already, worse ones older.
    newer = min(first - delay, half + min(first - theirs, half))
    yield Lever(
        "settled",
        seconds(excess, max(newer, 0.0) * length),
        "newer loads",
        f"{grown}: the loads drift. Plan from the newest iterations of the window (planning.memory), and allow for the "
        "scatter of single iterations around their mean (planning.risk).",
    )
    # A plan of one window is as far from the loads' mean as the window that comes is, to which clairvoyant's fits. What
    # is worse than DS-EPLB's is no matter of that.
    noise = max(min(first, (first + last) / 2, theirs), 0.0)
    short, memory = "plan for the scatter", ""
    if len(spans(excess)) > 1 and half < first / 2:
        short, memory = "longer memory", "Plan from more windows than the last (planning.memory). "
    yield Lever(
        "settled",
        seconds(excess, noise * length / 2),
        short,
        f"{off}. {memory}Allow for the scatter of single iterations around their mean (planning.risk), and exchange "
        "experts until no exchange helps (planning.exchange).",
    )
    if excess.calls[-1].iteration <= spans(excess)[-1].call.iteration and first < delay:
        # Half of what age adds, where no call let plans grow older than the next window.
        yield Lever(
            "settled",
            seconds(excess, (last - max(first, 0.0)) * length / 4),
            "longer memory",
            f"{grown}: the plans fit only the window that they are made from. Plan from all windows since the last "
            "switch of the loads (planning.memory).",
        )
