"""What a policy can change in a case: the change that would save most of its seconds, as far as the files can tell.

Each part that a policy can change has changes of its own, and every change the seconds that it saves by itself, net of
what it costs elsewhere. They are measured alike, so that the largest is worth trying first; where none is worth a
trial, that is said. The page *Evaluation* has their definitions.
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
    """part: its name as in parts.NAMES, "" for none; seconds: what the change saves, about; short: for a table;
    advice: a sentence."""

    part: str
    seconds: float
    short: str
    advice: str


class Bounds(NamedTuple):
    """modeled: seconds of the case; least_roll_out: of the roll-out, had the same layers come in the best order;
    redeployed_layers: how many; above_static: modeled seconds above those without a move; to_gain: from there to
    clairvoyant DS-EPLB; slot_seconds: of a changed slot."""

    modeled: float
    least_roll_out: float
    redeployed_layers: int
    above_static: float
    to_gain: float
    slot_seconds: float


def lever(parts: Parts, baseline: Parts, bounds: Bounds, moves: Moves, excess: Excess | None) -> Lever:
    """The change that saves most.

    baseline: DS-EPLB's parts; excess: None where the curves are not known.
    """
    if not bounds.redeployed_layers and parts.settled >= LEAST:
        advice = (
            f"Nothing was redeployed: {parts.settled:.2f} s are lost above clairvoyant DS-EPLB. "
            "Answer a call with layers to redeploy."
        )
        return Lever("settled", parts.settled, "redeploy", advice)
    changes = [*_transfer(parts, bounds, moves, excess), _roll_out(parts, bounds)]
    changes += _settled(parts, baseline, bounds, excess) if excess else [_hidden(parts)]
    best = max(changes, key=lambda change: change.seconds)
    if best.seconds < max(LEAST, LEAST_SHARE * bounds.modeled):
        most = f"{best.short}, {best.seconds:.2f} s" if best.seconds > 0.005 else "none saves a hundredth of a second"
        advice = (
            f"Nothing stands out: no change that these numbers show would save {LEAST_SHARE:.1%} of the case's seconds "
            f"(the largest: {most}). What is left is fixed, or clairvoyant DS-EPLB's own: only devices that stay even "
            "in single iterations lower that (planning.risk, planning.exchange)."
        )
        return Lever("", best.seconds, "-", advice)
    whole = {"transfer": parts.transfer, "roll-out": parts.roll_out, "settled": parts.settled}[best.part]
    beside = ""
    if best.part == "settled" and excess and (waited := waiting(excess)) >= LEAST:
        beside = f", {waited:.2f} s of it between a switch and the first call that could see it"
    most = f"The change that saves most: {best.short}, about {best.seconds:.2f} s ({best.part}: {whole:.2f} s{beside})."
    return best._replace(advice=f"{most} {best.advice}")


def _transfer(parts: Parts, bounds: Bounds, moves: Moves, excess: Excess | None) -> Iterator[Lever]:
    """Renamed devices; calls that do not pay, even so; none at all."""
    fewer, redeployed = relabelled(moves), moves.changed[moves.changed > 0]
    if len(redeployed):
        yield Lever(
            "transfer",
            bounds.slot_seconds * float((moves.changed - fewer).sum()),
            "rename devices",
            f"A redeployed layer changes {redeployed.mean():.0f} slots of about {moves.slots:.0f}; the same plans "
            f"with devices renamed and slots aligned change about {fewer.max():.0f} (planning.relabelling), at the "
            "same PAR.",
        )
    saved = min(bounds.above_static, parts.transfer)
    yield Lever(
        "transfer",
        saved,
        "fewer moves",
        "The moves cost more than they gain: without any the case would be faster. Redeploy only layers that gain more "
        "than their slots cost (planning.gate).",
    )
    if excess:
        calls, saved = unpaid(excess, fewer)
        yield Lever(
            "transfer",
            saved,
            "fewer moves",
            f"What was redeployed at {_some(calls)} cost more than PAR gained by that. Redeploy only layers that gain "
            "more than their slots cost (planning.gate); settled rises, by less.",
        )


def _some(calls: list[int]) -> str:
    return ", ".join(map(str, calls[:3])) + ", ..." * (len(calls) > 3)


def _roll_out(parts: Parts, bounds: Bounds) -> Lever:
    return Lever(
        "roll-out",
        parts.roll_out - bounds.least_roll_out,
        "order by gain",
        "One layer is applied per iteration, so list those first that gain most.",
    )


def _hidden(parts: Parts) -> Lever:
    """Half of the settled part: a plan of one window is as far from the loads' mean as the window that comes is."""
    how = "Plan from more than the last window, or react to switches sooner."
    return Lever("settled", parts.settled / 2, "longer memory, or react to switches", how)


def _settled(parts: Parts, baseline: Parts, bounds: Bounds, excess: Excess) -> list[Lever]:
    """Redeploy sooner, after a switch, again, or other layers; plan as well as DS-EPLB; plan from other loads."""
    found, changes = spans(excess), []

    def change(saved: float, short: str, advice: str) -> None:
        changes.append(Lever("settled", saved, short, advice))

    if not found:
        return [_hidden(parts)]
    declined, saved = late(excess)
    change(
        saved,
        "redeploy sooner",
        f"{declined} call{'s' * (declined > 1)} declined before the first redeployment, at {found[0].call.iteration}. "
        "Redeploy at the first call.",
    )
    at, saved = switch_at(excess)
    change(
        saved,
        f"react to the switch at {at}",
        f"The loads switch at about iteration {at}, and the plans after that are for what was before. Forget that, "
        "also where the switch lies inside a window (planning.memory.switch), and redeploy at the next call.",
    )
    calls, saved = forgone(excess)
    change(
        saved,
        "redeploy again",
        f"Plans grew old: layers were left out at {_some(calls)}, and DS-EPLB, which redeploys all, is so much faster "
        "then, beyond what their slots cost. Redeploy, there too, what gains more than that (planning.gate).",
    )
    per_layer = parts.transfer / bounds.redeployed_layers
    theirs = min(parts.settled - baseline.settled, bounds.to_gain * excess.untouched / excess.layers)
    change(
        theirs - excess.untouched * per_layer if excess.untouched else 0.0,
        "redeploy the other layers",
        f"Layers that were never redeployed: {excess.untouched}. List those, too, that gain more than their slots "
        "cost (planning.gate).",
    )
    if parts.settled > MORE * baseline.settled:
        # Worse plans for fewer moves may be worth it, and the changes above have reasons of their own.
        known = max(each.seconds for each in changes)
        better = parts.settled + parts.transfer - baseline.settled - baseline.transfer - max(known, 0.0)
        words = f"lose {baseline.settled:.2f} s" if baseline.settled > 0 else f"gain {-baseline.settled:.2f} s"
        change(
            better,
            "better plans",
            f"DS-EPLB's plans, of the last window, {words} there. Plan from no older loads than DS-EPLB, and as evenly "
            "(placement.ds_eplb, or planning.placing), until no exchange helps (planning.exchange).",
        )
    return [*changes, *_loads(excess)]


def _loads(excess: Excess) -> Iterator[Lever]:
    """From which loads to plan: what is lost right after a redeployment, and what is added until the next."""
    first, last, rise = ageing(excess)
    length = len(excess.above) - spans(excess)[0].start
    off = f"Right after a redeployment PAR lies {first:.3f} above clairvoyant DS-EPLB's"
    grown = (
        f"In the first eighth of the iterations between two redeployments PAR lies {first:.3f} above clairvoyant "
        f"DS-EPLB's, in the last {last:.3f}"
    )
    theirs, _, _ = ageing(of_ds_eplb(excess))
    half, delay = rise * excess.window / 2, rise * (excess.latency + excess.layers / 2)
    # Plans of a window's mean, as DS-EPLB's, are half a window old; better ones are newer already, worse ones older.
    newer = min(first - delay, half + min(first - theirs, half))
    yield Lever(
        "settled",
        seconds(excess, max(newer, 0.0) * length),
        "newer loads",
        f"{grown}: the loads drift. Plan from the newest iterations of the window (planning.memory), and for how "
        "iterations scatter around their mean (planning.risk).",
    )
    # A plan of one window is as far from the loads' mean as the window that comes is, to which clairvoyant's fits. What
    # is worse than DS-EPLB's is no matter of that.
    noise = max(min(first, (first + last) / 2, theirs), 0.0)
    short, memory = "plan for the scatter", ""
    if len(spans(excess)) > 1 and half < first / 2:
        short, memory = "longer memory", "from more windows than the last (planning.memory), "
    yield Lever(
        "settled",
        seconds(excess, noise * length / 2),
        short,
        f"{off}. Plan {memory}for how iterations scatter around their mean (planning.risk), and until no exchange "
        "helps (planning.exchange).",
    )
    if excess.calls[-1].iteration <= spans(excess)[-1].call.iteration and first < delay:
        # Half of what age adds, where no call let plans grow older than the next window.
        yield Lever(
            "settled",
            seconds(excess, (last - max(first, 0.0)) * length / 4),
            "longer memory",
            f"{grown}: the plans fit their window, which passes. Plan from all windows since the last switch of the "
            "loads (planning.memory).",
        )
