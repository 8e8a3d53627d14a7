"""Experiments: the matrix of methods, the plan that is robust over data sets, and the sweep of the hedge alpha."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from planning.replication import robust_load

from .batches import Batches
from .copies import copies_of
from .cost import latency, nearest_rank
from .measures import measures
from .methods import PLACEMENT_ONLY, REPLICATED, Method, Setting
from .plan import even_plan
from .routing import least_loaded
from .torus import Torus

ALPHAS = (0.0, 0.5, 1.0, 2.0)


def matrix(
    batches: Mapping[tuple[str, int], Batches],
    torus: Torus,
    slots: int = 3,
    swaps: int = 4000,
    seed: int = 0,
    held_out: bool = False,
) -> pd.DataFrame:
    """Every method on every data set and layer, without copies and with copies and the shared expert.

    batches: by (data set, layer), without the shared expert; slots: per device with copies; held_out: plan from the
    first half of the batches and measure on the second. One row per data set, layer, setting and method; `plan_seconds`
    and `route_ms` (per batch) are measured, and change nothing else.
    """
    rows = []
    for (dataset, layer), own in batches.items():
        for name, methods, setting, used in _settings(own, torus, slots, swaps, seed):
            half = used.count // 2
            learned, scored = (used.select(0, half), used.select(half, used.count)) if held_out else (used, used)
            for method in methods:
                rows.append(
                    {"data_set": dataset, "layer": layer, "setting": name} | _row(method, learned, scored, setting)
                )
    return pd.DataFrame(rows)


def _settings(own: Batches, torus: Torus, slots: int, swaps: int, seed: int) -> list[tuple]:
    single = own.experts // torus.devices
    found = []
    if single * torus.devices == own.experts:
        # Pairs are two experts on a device; with another number there is no such baseline.
        methods = [method for method in PLACEMENT_ONLY if method.name != "pairs" or single == 2]
        setting = Setting(torus, single, False, swaps=swaps, seed=seed)
        found.append((f"{single * torus.devices} slots", methods, setting, own))
    total = slots * torus.devices
    if total >= own.experts + torus.rows:
        setting = Setting(torus, slots, True, swaps=swaps, seed=seed)
        found.append((f"{total} slots, shared", list(REPLICATED), setting, own.with_shared()))
    return found


def _row(method: Method, learned: Batches, scored: Batches, setting: Setting) -> dict[str, object]:
    begun = time.perf_counter()
    planned = method.plan(learned, setting)
    planning = time.perf_counter() - begun
    begun = time.perf_counter()
    routed = planned.router(scored, planned.copies)
    routing = time.perf_counter() - begun
    return {
        "row": method.row,
        "plan": method.name,
        "router": planned.router.__name__,
        "run": method.run,
        **measures(scored, planned.copies, routed, setting.torus, setting.preset),
        "plan_seconds": planning,
        "route_ms": 1000 * routing / scored.count,
    }


def robust(batches: Mapping[str, Batches], torus: Torus, slots: int = 3) -> tuple[pd.DataFrame, str]:
    """Each data set's plan on every data set, and the plan whose worst ratio to the data sets' own plans is smallest.

    batches: by data set, of one layer, the shared expert included. The candidates are the specialists, and plans for
    the mean and for the largest of the data sets' shares. Returns ratios of mean latency [plan, data set], with the
    worst of each row, and the name of the best candidate; its worst ratio is at most every specialist's.
    """
    experts = next(iter(batches.values())).experts
    loads = {name: own.load[:, : experts - 1] / own.load.sum(axis=1, keepdims=True) for name, own in batches.items()}
    means = np.stack([load.mean(axis=0) for load in loads.values()])
    candidates = {f"for {name}": load for name, load in loads.items()}
    candidates |= {"mean of shares": means.mean(axis=0)[None], "largest of shares": means.max(axis=0)[None]}
    table = {}
    for candidate, load in candidates.items():
        copies = copies_of(even_plan(load * 1e6, torus, slots, shared=True), experts)
        table[candidate] = {
            name: latency(own, copies, least_loaded(own, copies), torus).total.mean() for name, own in batches.items()
        }
    frame = pd.DataFrame(table).T
    own = [frame.loc[f"for {name}", name] for name in frame.columns]
    ratios = frame / own
    ratios["worst"] = ratios.max(axis=1)
    return ratios, str(ratios["worst"].idxmin())


def alpha_sweep(batches: Batches, torus: Torus, slots: int = 3, alphas: Sequence[float] = ALPHAS) -> pd.DataFrame:
    """Replication by mean + alpha * std and by p95 of the first half of the batches, measured on the second.

    batches: the shared expert included. One row per hedge: mean, p95 and p99 of latency in us, and the largest device
    load. The router knows the shares of the batch before only.
    """
    half = batches.count // 2
    learned, scored = batches.select(0, half), batches.select(half, batches.count)
    load = learned.load[:, : batches.experts - 1]
    hedges = {f"mean + {alpha:g} std": ("mean_std", alpha) for alpha in alphas} | {"p95": ("p95", 0.0)}
    rows = []
    for name, (how, alpha) in hedges.items():
        copies = copies_of(even_plan(robust_load(load, how, alpha)[None], torus, slots, shared=True), batches.experts)
        routed = least_loaded(scored, copies, 1)
        found = measures(scored, copies, routed, torus)
        total = latency(scored, copies, routed, torus).total
        rows.append({"hedge": name, "mean": found["mean"], "p95": found["p95"], "p99": nearest_rank(total, 0.99)})
        rows[-1]["max_device_tokens"] = found["max_device_tokens"]
    return pd.DataFrame(rows)


def markdown(frame: pd.DataFrame, digits: int = 2) -> str:
    """A table as Markdown, without a library for it."""

    def cell(value: object) -> str:
        return f"{value:.{digits}f}" if isinstance(value, float | np.floating) else str(value)

    lines = [list(map(str, frame.columns)), ["---"] * len(frame.columns)]
    lines += [[cell(value) for value in row] for row in frame.itertuples(index=False)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
