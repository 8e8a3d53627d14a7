"""Which plan and router to deploy: every method plans on one part of the requests and is measured on the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from placement.errors import Problem

from ..serving.cost import device_sums, latency, replica_tokens
from ..serving.measures import even_par
from ..serving.routers import name_of
from ..traces.batches import Batches
from ..traces.side_by_side import side_by_side
from .intervals import batches_for_bound, interval, resampled, statistic
from .methods import ONE_MORE, PAR, PLACEMENT_ONLY, REPLICATED, Method, Planned, Setting

if TYPE_CHECKING:
    import pandas as pd

SHOWN = ("mean", "p95", "p99")


@dataclass(frozen=True, eq=False)
class Row:
    """A method, planned and measured.

    planned: of each layer; held_out, in_sample: us of each batch over all layers, float64 [batch]; layers: held-out us,
    float64 [layer, batch]; device_tokens: held-out tokens by the batch's mean over devices, float64 [layer, batch,
    device]; even_par: held-out, float64 [layer, batch]; seconds: that planning took, of all layers.
    """

    method: Method
    replicated: bool
    planned: tuple[Planned, ...]
    in_sample: np.ndarray
    layers: np.ndarray
    device_tokens: np.ndarray
    even_par: np.ndarray
    seconds: float

    @property
    def held_out(self) -> np.ndarray:
        """Latency of the held-out batches: a batch goes through one layer after another."""
        return self.layers.sum(axis=0)

    def values(self, objective: str) -> np.ndarray:
        """What an objective is a statistic of: the latency of the held-out batches, or their PAR over layers."""
        return self.even_par.mean(axis=0) if objective == PAR else self.held_out

    def figure(self, objective: str) -> float:
        """The held-out objective: in us, or the mean PAR."""
        return float(statistic(self.values(objective), of_batches(objective)))

    @property
    def routers(self) -> tuple[str, ...]:
        """The names of the layers' routers."""
        return tuple(name_of(planned.router) for planned in self.planned)

    @property
    def name(self) -> str:
        """How the row is called."""
        return _called(self.method, self.replicated)


def _called(method: Method, replicated: bool) -> str:
    return f"{method.name}, {'with' if replicated else 'without'} replicas"


def of_batches(objective: str) -> str:
    """The objective's statistic over batches, of intervals.STATISTICS."""
    return "mean" if objective == PAR else objective


def compare(
    planning: Sequence[Batches],
    held_out: Sequence[Batches],
    setting: Setting,
    jobs: int = 1,
    told: Callable[[str], None] = lambda line: None,
) -> list[Row]:
    """Plan and measure every method, without replicas and with; all rows serve the same choices on the same slots.

    planning, held_out: of each layer, in one order of batches, the shared expert included where the setting has it.
    jobs: layers side by side; told: called with the name of every method, and when done with its seconds and a line's
    end. Without swaps to try, and for
    PAR, which exchanges have levelled already, offline methods are left out. Raises Problem when the slots do not hold
    every expert.
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
    searched, rows = setting.swaps and setting.objective != PAR, []
    for replicated, methods in ((False, single), (True, several)):
        for method in methods:
            if searched or method.run == "nearline" or method.row == "baseline":
                begun = time.perf_counter()
                told(f"row {len(rows) + 1}, {_called(method, replicated)} ... ")
                rows.append(_row(method, planning, held_out, replace(setting, replicated=replicated), jobs))
                told(f"{time.perf_counter() - begun:.1f} s\n")
    return rows


def _row(method: Method, planning: Sequence[Batches], held_out: Sequence[Batches], setting: Setting, jobs: int) -> Row:
    def of_layer(position: int) -> tuple:
        known, unknown = planning[position], held_out[position]
        begun = time.process_time()
        planned = method.plan(known, setting)
        seconds = time.process_time() - begun
        replicas = planned.replicas
        learned = _times(planned, known, planned.router(known, replicas), setting)
        routed = planned.router(unknown, replicas)
        loads = device_sums(replica_tokens(unknown, replicas, routed), replicas)
        tokens = loads / loads.mean(axis=1, keepdims=True)
        return (
            planned,
            learned,
            _times(planned, unknown, routed, setting),
            tokens,
            even_par(replicas.table, unknown.load),
            seconds,
        )

    planned, learned, *held, seconds = zip(*side_by_side(of_layer, len(planning), jobs), strict=True)
    return Row(method, setting.replicated, planned, np.sum(learned, axis=0), *map(np.array, held), sum(seconds))


def _times(planned: Planned, batches: Batches, routed: np.ndarray, setting: Setting) -> np.ndarray:
    return latency(batches, planned.replicas, routed, setting.torus, setting.preset).total


def best(rows: Sequence[Row], objective: str) -> int:
    """The place of the row with the smallest held-out objective, of equals the first."""
    return int(np.argmin([row.figure(objective) for row in rows]))


def frame_of(rows: Sequence[Row], draws: int, seed: int) -> pd.DataFrame:
    """A line for each row: held-out mean, p95, p99 in us with the ends of their 95 % intervals, PAR, in-sample mean.

    draws, seed: of the bootstrap over batches. An upper end that the batches are too few for is NaN.
    """
    import pandas as pd

    lines = []
    for number, row in enumerate(rows, 1):
        line = {
            "number": number,
            "replicas": "with" if row.replicated else "without",
            "row": row.method.row,
            "plan": row.method.name,
        }
        line |= {"router": ", ".join(dict.fromkeys(row.routers)), "run": row.method.run}
        line["even PAR"] = row.figure(PAR)
        for name in SHOWN:
            low, high = ends(row, name, draws, seed)
            line |= {name: float(statistic(row.held_out, name)), f"{name} low": low, f"{name} high": high}
        lines.append(line | {"mean in sample": float(row.in_sample.mean()), "plan_seconds": row.seconds})
    return pd.DataFrame(lines)


def ends(row: Row, objective: str, draws: int, seed: int) -> tuple[float, float]:
    """The ends of the objective's 95 % interval; the upper one NaN where no value seen bounds the percentile."""
    values, name = row.values(objective), of_batches(objective)
    low, high = interval(resampled(values, name, draws, seed))
    return float(low), float(high) if len(values) >= batches_for_bound(name) else np.nan


def printed(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with texts in place of numbers that one digit after the point does not suit."""
    shown = {"even PAR": frame["even PAR"].map("{:.3f}".format)}
    for name in (f"{name} high" for name in SHOWN):
        shown[name] = frame[name].map(lambda high: "unknown" if np.isnan(high) else f"{high:.1f}")
    return frame.assign(**shown)


def by_data_set(rows: Sequence[Row], data_set: Sequence[str]) -> pd.DataFrame:
    """Held-out mean, p95 and p99 in us of each row on each data set. data_set: the name for each held-out batch."""
    import pandas as pd

    names, lines = np.array(data_set), []
    for name in dict.fromkeys(data_set):
        for number, row in enumerate(rows, 1):
            part = row.held_out[names == name]
            values = {shown: float(statistic(part, shown)) for shown in SHOWN}
            lines.append({"data_set": name, "batches": len(part), "number": number, "plan": row.name} | values)
    return pd.DataFrame(lines)
