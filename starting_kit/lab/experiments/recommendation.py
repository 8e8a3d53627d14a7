"""Which plan and router to deploy: every method plans on one part of the requests and is measured on the other."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from placement.errors import Problem

from ..serving.cost import device_sums, latency, replica_tokens
from ..serving.routers import name_of
from ..traces.batches import Batches
from .intervals import interval, resampled, statistic
from .methods import ONE_MORE, PLACEMENT_ONLY, REPLICATED, Method, Planned, Setting

if TYPE_CHECKING:
    import pandas as pd

SHOWN = ("mean", "p95", "p99")


@dataclass(frozen=True, eq=False)
class Row:
    """A method, planned and measured.

    planned: of each layer; held_out, in_sample: us of each batch over all layers, float64 [batch]; layers: held-out us,
    float64 [layer, batch]; device_tokens: held-out tokens by the batch's mean over devices, float64 [layer, batch,
    device]; seconds: that planning took.
    """

    method: Method
    replicated: bool
    planned: tuple[Planned, ...]
    in_sample: np.ndarray
    layers: np.ndarray
    device_tokens: np.ndarray
    seconds: float

    @property
    def held_out(self) -> np.ndarray:
        """Latency of the held-out batches: a batch goes through one layer after another."""
        return self.layers.sum(axis=0)

    @property
    def routers(self) -> tuple[str, ...]:
        """The names of the layers' routers."""
        return tuple(name_of(planned.router) for planned in self.planned)

    @property
    def name(self) -> str:
        """How the row is called."""
        return f"{self.method.name}, {'with' if self.replicated else 'without'} replicas"


def compare(planning: Sequence[Batches], held_out: Sequence[Batches], setting: Setting) -> list[Row]:
    """Plan and measure every method, without replicas and with; all rows serve the same choices on the same slots.

    planning, held_out: of each layer, in one order of batches, the shared expert included where the setting has it.
    Without swaps to try, offline methods are left out. Raises Problem when the slots do not hold every expert.
    """
    torus, experts = setting.torus, planning[0].experts - setting.shared
    slots, needed = setting.slots * torus.devices, experts + setting.shared * torus.rows
    if slots < needed:
        got = f"{slots} slots: {torus.rows} x {torus.cols} devices of {setting.slots}"
        expected = f"{needed} or more: {experts} experts" + f" and the shared one in {torus.rows} rows" * setting.shared
        raise Problem("the slots do not hold every expert", got, expected, "correct --slots or --grid")
    pairs = 2 * torus.devices == experts
    single = [method for method in PLACEMENT_ONLY if pairs or method.name != "pairs"]
    several = [REPLICATED[0] if setting.shared else ONE_MORE, *REPLICATED[1:]] if slots > needed else []
    return [
        _row(method, planning, held_out, replace(setting, replicated=replicated))
        for replicated, methods in ((False, single), (True, several))
        for method in methods
        if setting.swaps or method.run == "nearline" or method.row == "baseline"
    ]


def _row(method: Method, planning: Sequence[Batches], held_out: Sequence[Batches], setting: Setting) -> Row:
    begun = time.perf_counter()
    planned = tuple(method.plan(batches, setting) for batches in planning)
    seconds = time.perf_counter() - begun
    learned, layers, tokens = [], [], []
    for one, known, unknown in zip(planned, planning, held_out, strict=True):
        learned.append(_times(one, known, one.router(known, one.replicas), setting))
        routed = one.router(unknown, one.replicas)
        layers.append(_times(one, unknown, routed, setting))
        loads = device_sums(replica_tokens(unknown, one.replicas, routed), one.replicas)
        tokens.append(loads / loads.mean(axis=1, keepdims=True))
    return Row(
        method, setting.replicated, planned, np.sum(learned, axis=0), np.array(layers), np.array(tokens), seconds
    )


def _times(planned: Planned, batches: Batches, routed: np.ndarray, setting: Setting) -> np.ndarray:
    return latency(batches, planned.replicas, routed, setting.torus, setting.preset).total


def best(rows: Sequence[Row], objective: str) -> int:
    """The place of the row with the smallest held-out objective, of equals the first."""
    return int(np.argmin([statistic(row.held_out, objective) for row in rows]))


def frame_of(rows: Sequence[Row], draws: int, seed: int) -> pd.DataFrame:
    """A line for each row: held-out mean, p95, p99 in us with the ends of their 95 % intervals, and the in-sample mean.

    draws, seed: of the bootstrap over batches.
    """
    import pandas as pd

    lines = []
    for row in rows:
        line = {"replicas": "with" if row.replicated else "without", "row": row.method.row, "plan": row.method.name}
        line |= {"router": ", ".join(dict.fromkeys(row.routers)), "run": row.method.run}
        for name in SHOWN:
            low, high = interval(resampled(row.held_out, name, draws, seed))
            line |= {name: float(statistic(row.held_out, name)), f"{name} low": low, f"{name} high": high}
        lines.append(line | {"mean in sample": float(row.in_sample.mean()), "plan_seconds": row.seconds})
    return pd.DataFrame(lines)


def by_data_set(rows: Sequence[Row], data_set: Sequence[str]) -> pd.DataFrame:
    """Held-out mean, p95 and p99 in us of each row on each data set. data_set: the name for each held-out batch."""
    import pandas as pd

    names, lines = np.array(data_set), []
    for name in dict.fromkeys(data_set):
        for row in rows:
            part = row.held_out[names == name]
            values = {shown: float(statistic(part, shown)) for shown in SHOWN}
            lines.append({"data_set": name, "batches": len(part), "plan": row.name} | values)
    return pd.DataFrame(lines)


def verdict(rows: Sequence[Row], objective: str, draws: int, seed: int) -> list[str]:
    """Sentences: what to deploy, what to expect, and whether that is surely better than the next best row."""
    at = best(rows, objective)
    chosen, count = rows[at], len(rows[at].held_out)
    parts = []
    for name in SHOWN:
        low, high = interval(resampled(chosen.held_out, name, draws, seed))
        parts.append(f"{name} {statistic(chosen.held_out, name):.1f} us ({low:.1f} to {high:.1f})")
    routers = ", ".join(dict.fromkeys(chosen.routers))
    layers = f"{len(chosen.planned)} layer{'s' * (len(chosen.planned) > 1)}"
    told = [
        f"Deploy: {chosen.name}, router {routers}, the best of {len(rows)} rows by the held-out {objective}.",
        f"Expect, for a batch through {layers}: {', '.join(parts)}, measured on {count} batches of held-out requests.",
    ]
    others = [row for row in rows if row is not chosen]
    if others:
        second = others[best(others, objective)]
        first_draws, second_draws = (resampled(row.held_out, objective, draws, seed) for row in (chosen, second))
        less, most = interval(second_draws - first_draws)
        lower = interval(first_draws)[1] < interval(second_draws)[0]
        overlap = "lies below the next row's" if lower else "overlaps the next row's"
        sure = "lower" if less > 0 else "not surely lower"
        told.append(
            f"Next: {second.name}. The interval of the chosen {objective} {overlap}; batch by batch the chosen one is "
            f"{sure}, by {less:.1f} to {most:.1f} us."
        )
    if count < 100:
        few = " and no interval says much" * (count < 10)
        told.append(f"With {count} held-out batches p99 is their largest{few}: name a longer trace for more.")
    return told
