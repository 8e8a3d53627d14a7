"""Plans that are replaced every N batches against the one that stays: latency, transfers charged, and what it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..gating.catalogue import NEARLINE, meets
from ..online.controls import controls
from ..online.replanners import even_replanner
from ..online.replay import Rules, Served, replay
from ..online.transfer import BANDWIDTH, SLOT_BYTES, charge
from ..serving.cost import COMPAT, Preset
from ..serving.torus import Torus
from ..traces.batches import Batches
from ..traces.routing_trace import RoutingTrace
from .intervals import statistic

if TYPE_CHECKING:
    import pandas as pd

NEVER = "inf"
SHOWN = ("mean", "p50", "p95", "p99")
# In the matrix and in recommendations: batches of a trace, at least and at most, and batches between replans.
FEWEST, MOST, EVERY = 20, 400, (1, 5, None)
COLUMNS = (
    *("data_set", "plan", "router", "run", "mean", "p50", "p95", "p99", "charged_mean", "charged_p99"),
    *("largest_charge", "replans_per_1000", "slots", "largest_slots", "gigabytes", "plan_ms", "route_ms"),
)


@dataclass(frozen=True)
class Online:
    """How plans are made, replaced and charged.

    slots: per device; router: one of online.controls.NAMES, with its threshold; window: batches whose mean load is
    planned for; age, budget: see online.replay.Rules; bandwidth, serial: see online.transfer.charge; planning_charged:
    whether the measured seconds of planning are charged with the transfers.
    """

    torus: Torus
    slots: int
    router: str = "row-aware"
    threshold: float = 1.0
    window: int = 10
    age: int = 0
    budget: int | None = None
    bandwidth: float = BANDWIDTH
    serial: bool = False
    planning_charged: bool = False
    preset: Preset = COMPAT


def served(layers: Sequence[Batches], known: int, every: int | None, online: Online) -> list[Served]:
    """Each layer replayed with a plan that is replaced every so many batches; None: never."""
    replan = even_replanner(online.torus, online.slots, online.window)
    control = controls(online.torus, online.threshold)[online.router]
    rules = Rules(every, online.age, online.budget)
    return [replay(batches, known, replan, control, rules, online.torus, online.preset) for batches in layers]


def replanning(layers: Sequence[Batches], known: int, every: Sequence[int | None], online: Online) -> pd.DataFrame:
    """A row for each number of batches between replans.

    layers: routed experts alone, in the order of time; known: batches that the first plan is made from, none of which
    is measured. Times in us over all layers; `charged` ones with the transfers; largest_charge: of a batch;
    largest_slots: of a replan; plan_ms and route_ms: ms of a processor, of a replan and of a batch, for one layer.
    """
    import pandas as pd

    rows = []
    for number in every:
        parts = served(layers, known, number, online)
        latency = sum(part.latency for part in parts)
        moved = sum(part.moved for part in parts)
        waited = charge(moved, online.bandwidth, online.serial)
        if online.planning_charged:
            waited = waited + 1e6 * sum(part.planning for part in parts)
        replans = 0 if number is None else (len(latency) - 1) // number
        seconds = float(sum(part.planning.sum() for part in parts))
        rows.append(
            {
                "every": NEVER if number is None else str(number),
                **{name: float(statistic(latency, name)) for name in SHOWN},
                **{f"charged_{name}": float(statistic(latency + waited, name)) for name in SHOWN},
                "largest_charge": float(waited.max()),
                "replans_per_1000": 1000 * replans / len(latency),
                "plan_seconds": seconds,
                "plan_ms": 1000 * seconds / max(replans * len(parts), 1),
                "slots": int(moved.sum()),
                "largest_slots": int(moved.sum(axis=1).max()),
                "gigabytes": moved.sum() * SLOT_BYTES / 1e9,
                "cross_row_share": float(np.mean([part.cross_row for part in parts])),
                "route_ms": 1000 * float(np.mean([part.routing for part in parts])),
            }
        )
    return pd.DataFrame(rows)


def findings(frame: pd.DataFrame, measured: int) -> list[str]:
    """What the rows of `replanning` say, one of which is never replanned; measured: batches.

    Replanning pays where p99 with what is charged lies below the static plan's, which is where p99 falls by more than
    what is charged adds to it again.
    """
    static = frame[frame["every"] == NEVER].iloc[0]
    others = frame[frame["replans_per_1000"] > 0]
    told = [
        f"Held out: the first plan is made from the batches before the {measured} measured ones, every later one from "
        "batches served before it. The static plan (inf) stays."
    ]
    if len(others):
        pays = others.loc[others["charged_p99"] < static["p99"], "every"]
        where = f"at N = {', '.join(pays)}" if len(pays) else "at no N"
        best = others.loc[others["charged_p99"].idxmin()]
        told.append(
            f"Replanning pays where charged_p99 is below the static plan's p99, {static['p99']:.1f} us: {where}. The "
            f"lowest is {best['charged_p99']:.1f} us, at N = {best['every']}: p99 is {best['p99']:.1f} us without what "
            f"is charged, and a batch waits {best['largest_charge']:.1f} us at most."
        )
    elif len(frame) > 1:
        told.append(f"Nothing was replanned: no N is below the {measured} measured batches. Next: a smaller --every.")
    plan, route = (float(frame[name].max()) for name in ("plan_ms", "route_ms"))
    of_route = meets(np.array([route / 1000]))
    of_plan = f", and a replan {plan:.1f} ms, in the class {planned_in(plan)} (nearline: below 2 s)"
    told.append(
        f"Per layer, routing takes {route:.2f} ms a batch, in the class {of_route} (online: below 10 ms)"
        f"{of_plan if len(others) else ''}."
    )
    if measured < 100:
        told.append(f"p99 of {measured} batches is their largest.")
    return told


def planned_in(milliseconds: float) -> str:
    """The class that a replan of a layer is in: nearline, or offline where it takes longer."""
    return "nearline" if milliseconds < 1000 * NEARLINE else "offline"


def replanning_rows(
    traces: Mapping[str, RoutingTrace], tokens: int, torus: Torus, slots: int, preset: Preset = COMPAT
) -> tuple[str, pd.DataFrame, list[str]]:
    """The rows of the matrix and of a recommendation: heading, frame, sentences.

    Of every trace the first layer, batches of `tokens` tokens in the order of the file, at most MOST: half of them
    known, half measured; a replan changes at most as many slots as there are devices. A trace of fewer than FEWEST
    batches, and slots that do not hold every expert, have a sentence instead of rows.
    """
    import pandas as pd

    online, frames, told = Online(torus, slots, budget=torus.devices, preset=preset), [], []
    for name, trace in traces.items():
        places, count = slots * torus.devices, trace.tokens // tokens
        if places < trace.experts:
            told.append(f"{name}: {places} slots do not hold {trace.experts} experts, so nothing is replanned online.")
        elif count < FEWEST:
            told.append(
                f"{name}: {count} whole batches of {tokens} tokens are too few to replan between them; expected "
                f"{FEWEST} or more. Next: a longer trace or a smaller --batch."
            )
        else:
            count = min(count, MOST)
            batches = trace.batches(0, tokens, torus.rows, None, count)
            frame = replanning([batches], count // 2, EVERY, online)
            told += [f"{name}: {sentence}" for sentence in findings(frame, count - count // 2)]
            plan = ["static" if every == NEVER else f"replanned every {every}" for every in frame["every"]]
            # The static plan's replans take no time, so they are in no class.
            run = [
                "once" if every == NEVER else planned_in(ms)
                for every, ms in zip(frame["every"], frame["plan_ms"], strict=True)
            ]
            frames.append(frame.assign(data_set=name, plan=plan, router=online.router, run=run)[list(COLUMNS)])
    heading = "Online replanning, held out: batches in the order of the file, the first layer, routed experts alone"
    return heading, pd.concat(frames) if frames else pd.DataFrame(), told
