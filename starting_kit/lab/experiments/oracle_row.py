"""The matrix's fourth row: an oracle on a common subset of a few experts that every method plans too."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ..oracle.branch_and_bound import least_load
from ..oracle.layer_search import searched
from ..oracle.outcome import Outcome, gap_to
from ..oracle.subset import as_one, subset
from ..serving.measures import even_par
from ..serving.torus import Torus
from ..traces.batches import Batches
from .methods import ONE_MORE, PAR, PLACEMENT_ONLY, REPLICATED, Setting

if TYPE_CHECKING:
    import pandas as pd

EXPERTS, GRID, SLOTS = 12, Torus(2, 2), 4
SWAPS = 20_000
# A second at most: the same table on every machine.
NODES, GAP = 300_000, 1e-3
# (load, devices, slots, start) -> the best table on even loads
Solver = Callable[[np.ndarray, int, int, np.ndarray], Outcome]
QUICK: Solver = partial(least_load, nodes=NODES, gap=GAP)
OPTIMUM = "% above the best table"
BOUND = "% above the optimum at most"


def ladder(
    batches: Batches, torus: Torus, slots: int, seed: int = 0, oracle: str = "branch and bound", solver: Solver = QUICK
) -> pd.DataFrame:
    """Baseline, nearline, offline and oracle on one measure: PAR of the sample's loads, replicas with even parts.

    batches: of a subset; slots: per device; oracle, solver: what the last row is solved with. Every method plans from
    the loads that it is measured on. Offline is a search on this measure, not two-stage, which minimises latency. The
    oracle starts from the offline table and is never worse; offline starts from the nearline one, which is the best of
    the quick plans by this measure, the baseline's among them.
    """
    import pandas as pd

    # As one batch, the PAR over batches that methods go by is that of the sample.
    one = as_one(batches)
    load = one.load[0]
    replicated = torus.devices * slots > batches.experts
    setting = Setting(torus, slots, False, replicated=replicated, objective=PAR)
    first, nearline = (ONE_MORE, REPLICATED[1]) if replicated else (PLACEMENT_ONLY[0], PLACEMENT_ONLY[2])
    lines, table, outcome = [], np.empty(0), None
    for row, name, run in (
        ("baseline", first.name, first.run),
        ("nearline", nearline.name, nearline.run),
        ("offline", "search on even loads", "offline"),
        ("oracle", oracle, "offline"),
    ):
        begun = time.perf_counter()
        if row == "offline":
            table = searched(table, load, SWAPS, seed)
        elif row == "oracle":
            outcome = solver(load, torus.devices, slots, table)
            table = outcome.table
        else:
            table = (first if row == "baseline" else nearline).plan(one, setting).replicas.table
        seconds = time.perf_counter() - begun
        lines.append({"row": row, "plan": name, "run": run, "PAR": float(even_par(table, load)), "seconds": seconds})
    mean = load.sum() / torus.devices
    for line in lines:
        line[OPTIMUM] = 100 * gap_to(line["PAR"], lines[-1]["PAR"])
        line[BOUND] = 100 * gap_to(line["PAR"], outcome.bound / mean)
    frame = pd.DataFrame(lines)
    return frame[["row", "plan", "run", "PAR", OPTIMUM, BOUND, "seconds"]]


def oracle_rows(batches: Mapping[tuple[str, int], Batches], seed: int = 0) -> tuple[str, pd.DataFrame, list[str]]:
    """Heading, frame and sentences for the matrix: the ladder of the first layer of every data set.

    batches: by (data set, layer), without the shared expert.
    """
    import pandas as pd

    parts, done = [], set()
    for (name, layer), whole in batches.items():
        if name not in done:
            done.add(name)
            for setting, slots, few in _settings(whole, whole.experts):
                frame = ladder(few, GRID, slots, seed)
                frame.insert(0, "data_set", name)
                frame.insert(1, "layer", layer)
                frame.insert(2, "setting", setting)
                parts.append(frame)
    heading = f"## Oracle: up to {EXPERTS} of the hottest experts, on {GRID.rows} x {GRID.cols} devices, in sample"
    told = [
        "Every row plans the choices of these experts alone, and is measured on them. PAR is the largest device load "
        "of the whole sample by the mean one, where each replica serves an equal part of its expert's choices. The "
        "oracle minimises this PAR, not latency. So does the search of the offline row; two-stage, the offline method "
        "of the matrix, minimises latency and is not among these rows.",
        f'"{OPTIMUM[2:]}" compares with the oracle\'s table, "{BOUND[2:]}" with its bound, which no table can beat.',
    ]
    return heading, pd.concat(parts, ignore_index=True), told


def gap_sentence(batches: Batches, layer: int, shared: bool = False, seed: int = 0) -> str:
    """How far nearline and offline lie above the optimum on the subset with replicas, in one sentence.

    shared: whether the last choice of every token is the shared expert, which is left out.
    """
    setting, slots, few = _settings(batches, batches.experts - shared)[-1]
    quick = partial(least_load, nodes=NODES // 10, gap=GAP)
    frame = ladder(few, GRID, slots, seed, solver=quick).set_index("row")
    return (
        f"On layer {layer}'s {setting}, in sample and for even PAR alone, quick plans lie at most "
        f"{frame.loc['nearline', BOUND]:.2f} % above the least possible, a search {frame.loc['offline', BOUND]:.2f} %, "
        f"the best table found {frame.loc['oracle', BOUND]:.2f} % (`oracle` shows them)."
    )


def _settings(batches: Batches, experts: int) -> Sequence[tuple[str, int, Batches]]:
    """Name, slots per device and batches of the subset: without replicas where experts fill the devices, and with."""
    few = subset(as_one(batches), min(EXPERTS, experts), among=experts)
    single, rest = divmod(few.experts, GRID.devices)
    sizes = [single, SLOTS] if not rest else [SLOTS]
    return [(f"{few.experts} hottest experts in {slots * GRID.devices} slots", slots, few) for slots in sizes]
