"""The matrix: every method on every data set and layer."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from ..serving.measures import measures
from ..serving.routers import name_of
from ..traces.batches import Batches
from ..traces.side_by_side import side_by_side
from .methods import PLACEMENT_ONLY, REPLICATED, Method, Setting

if TYPE_CHECKING:
    import pandas as pd


def matrix(
    batches: Mapping[tuple[str, int], Batches], replicated: Setting, held_out: bool = False, jobs: int = 1
) -> pd.DataFrame:
    """Every method on every data set and layer, without replicas and with replicas and the shared expert.

    batches: by (data set, layer), without the shared expert; replicated: with replicas; held_out: plan from the first
    half of the batches and measure on the second; jobs: layers side by side. One row per data set, layer,
    setting and method; `plan_seconds` and `route_ms` (per batch) are measured, and change nothing else.
    """
    import pandas as pd

    work = list(batches.items())

    def measured(position: int) -> list[dict[str, object]]:
        ((dataset, layer), layer_batches), rows = work[position], []
        for name, methods, setting, used in _settings(layer_batches, replicated):
            half = used.count // 2
            learned, scored = (used.select(0, half), used.select(half, used.count)) if held_out else (used, used)
            for method in methods:
                rows.append(
                    {"data_set": dataset, "layer": layer, "setting": name} | _row(method, learned, scored, setting)
                )
        return rows

    return pd.DataFrame([row for rows in side_by_side(measured, len(work), jobs) for row in rows])


def _settings(batches: Batches, replicated: Setting) -> list[tuple]:
    torus = replicated.torus
    single = batches.experts // torus.devices
    settings = []
    if single * torus.devices == batches.experts:
        # Pairs are two experts on a device; with another number there is no such baseline.
        methods = [method for method in PLACEMENT_ONLY if method.name != "pairs" or single == 2]
        setting = replace(replicated, slots=single, shared=False, replicated=False)
        settings.append((f"{single * torus.devices} slots", methods, setting, batches))
    total = replicated.slots * torus.devices
    if total >= batches.experts + torus.rows:
        settings.append((f"{total} slots, shared", list(REPLICATED), replicated, batches.with_shared()))
    return settings


def _row(method: Method, learned: Batches, scored: Batches, setting: Setting) -> dict[str, object]:
    begun = time.perf_counter()
    planned = method.plan(learned, setting)
    planning = time.perf_counter() - begun
    begun = time.perf_counter()
    routed = planned.router(scored, planned.replicas)
    routing = time.perf_counter() - begun
    return {
        "row": method.row,
        "plan": method.name,
        "router": name_of(planned.router),
        "run": method.run,
        **measures(scored, planned.replicas, routed, setting.torus, setting.preset),
        "plan_seconds": planning,
        "route_ms": 1000 * routing / scored.count,
    }
