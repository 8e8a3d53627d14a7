"""A grid's reference: DS-EPLB's results, which every submission is scored against, and those of the yardsticks.

ds_eplb.json has one row per case; series.npz has curves for the page: DS-EPLB's, and those of two yardsticks,
the static deployment and clairvoyant DS-EPLB.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from placement.clairvoyant import clairvoyant_par
from placement.ds_eplb import ds_eplb
from placement.errors import OrganizerError
from placement.evaluation.result_files import write_json, write_series
from placement.evaluation.versions import versions
from placement.explain import heat_map
from placement.grid import Case, Grid
from placement.parts import later_par
from placement.replay import Rebalance, Replay, replay
from placement.results import identity, mean_par, measures, series
from placement.trace import Trace
from placement.traces.files import TraceFolder, find_trace

from .reference_parts import Part, PartJob, make_parts, not_written

# What a case is known by, in a row and in the grid.
NAMED = ("model", "dataset", "ep", "redundant_experts")
# One more whenever readers of ds_eplb.json must change; 1 had no number.
REFERENCE_FORMAT = 3


def build(
    grid: Grid,
    traces: TraceFolder,
    jobs: int = 1,
    parts: Path | None = None,
    show: Callable[[str], None] = lambda line: None,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The content of ds_eplb.json and of series.npz, the same whatever `jobs` is.

    parts: folder for what is finished, which a later call uses; show: called with a line per finished trace.
    Raises OrganizerError.
    """
    groups: dict[str, list[Case]] = {}
    for case in grid.cases:
        groups.setdefault(f"{case.model}/{case.dataset}", []).append(case)
    for cases in groups.values():
        find_trace(traces.path, cases[0].model, cases[0].dataset)
    work = [PartJob(grid, name, cases, traces, parts) for name, cases in groups.items()]
    made = make_parts(work, measure, jobs, show)
    rows = {tuple(row[key] for key in NAMED): row for part in made for row in part.rows}
    provenance = {}
    for name in groups:
        entry = traces.manifest["traces"][name] if traces.manifest else {}
        provenance[name] = {key: entry.get(key, "not stated") for key in ("origin", "licence")}
    written_by = "kit.py reference: DS-EPLB (placement.ds_eplb), called after every window, all layers in order"
    head = {"format": REFERENCE_FORMAT, "grid": grid.name, "written_by": written_by}
    head |= {"versions": versions(), "traces": provenance}
    in_order = [rows[tuple(getattr(case, key) for key in NAMED)] for case in grid.cases]
    return head | {"cases": in_order}, {name: curve for part in made for name, curve in part.curves.items()}


def write(output: Path, reference: Mapping[str, Any], curves: Mapping[str, np.ndarray]) -> None:
    """Write both files. Raises OrganizerError when that is not possible."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        write_series(output / "series.npz", curves)
        write_json(output / "ds_eplb.json", reference)
    except OSError as error:
        raise not_written(error, output) from None


def measure(job: PartJob, trace: Trace) -> Part:
    """Rows and curves of a trace's cases. Raises OrganizerError."""
    part = Part([], {})
    for case in job.cases:
        baseline, static = replay(trace, case, ds_eplb_policy(trace, case)), replay(trace, case, decline)
        clairvoyant = clairvoyant_par(trace, case)
        part.rows.append(row(case, job.grid, trace, baseline, static.par, clairvoyant))
        place = case.key
        part.curves.update({f"{place}/ds_eplb/{kind}": array for kind, array in series(baseline).items()})
        part.curves[f"{place}/ds_eplb/heat_map"] = heat_map(baseline.par).astype(np.float32)
        part.curves[f"{place}/static/par"] = static.par.mean(axis=1)
        part.curves[f"{place}/clairvoyant/par"] = clairvoyant.mean(axis=1)
    return part


def row(
    case: Case, grid: Grid, trace: Trace, baseline: Replay, static: np.ndarray, clairvoyant: np.ndarray
) -> dict[str, Any]:
    """One case of ds_eplb.json; static and clairvoyant: PAR [iteration, layer] of the yardsticks.

    Raises OrganizerError when DS-EPLB moved nothing.
    """
    if not baseline.transmit_amount:
        raise OrganizerError(
            "DS-EPLB moves nothing, so transmit_vs_ds_eplb would be undefined",
            got="transmit_amount 0",
            expected="a trace on which DS-EPLB changes a slot",
            next_step="use a longer trace or one with uneven hotness",
            where=case.name,
        )
    yardsticks = {"static_mean_par": mean_par(static), "clairvoyant_mean_par": mean_par(clairvoyant)}
    # Of the iterations in which a policy can differ from others.
    yardsticks["clairvoyant_later_par"] = round(later_par(clairvoyant, case), 12)
    version = {"simulator_version": versions()["simulator"]}
    return identity(case, grid.cost, trace.sha256) | measures(baseline, trace) | yardsticks | version


def ds_eplb_policy(trace: Trace, case: Case) -> Rebalance:
    """DS-EPLB inside the simulator's process: all layers in order, at every call."""
    layers = np.arange(case.layers)

    def rebalance(start: int, stop: int, deployment: np.ndarray, iteration: int) -> tuple[np.ndarray, np.ndarray]:
        weights = trace.window(start, stop).sum(axis=0, dtype=np.int64)
        return layers, ds_eplb(weights, case.devices, case.redundant_experts, case.groups, case.nodes)

    return rebalance


def decline(start: int, stop: int, deployment: np.ndarray, iteration: int) -> None:
    """The static deployment's policy."""
