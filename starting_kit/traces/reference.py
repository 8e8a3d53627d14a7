"""A grid's reference: DS-EPLB's results, which every submission is scored against, and the yardsticks' results.

ds_eplb.json has one row for each case. series.npz has curves for the page: of DS-EPLB, of the static deployment and of
clairvoyant DS-EPLB.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from placement.clairvoyant import clairvoyant_steps
from placement.ds_eplb import ds_eplb
from placement.errors import OrganizerError
from placement.evaluation.result_files import write_json, write_series
from placement.evaluation.versions import versions
from placement.explain import heat_map
from placement.grid import Case, Grid
from placement.par_rows import ParRows, iteration_means
from placement.parts import later_par
from placement.replay import Rebalance, Replay, steps
from placement.results import identity, mean_par, measures, series
from placement.together import take_turns
from placement.trace import Hotness
from placement.traces.files import Traces

from .reference_parts import Part, PartJob, make_parts, not_written

# What a case is known by, in a row and in the grid.
NAMED = ("model", "dataset", "ep", "redundant_experts")
# One more whenever readers of ds_eplb.json must change; 1 had no number.
REFERENCE_FORMAT = 3


def build(
    grid: Grid,
    traces: Traces,
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
        traces.check(cases[0].model, cases[0].dataset)
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


def measure(job: PartJob, trace: Hotness) -> Part:
    """Rows and curves of a trace's cases, which go through it together. Raises OrganizerError."""
    part = Part([], {})
    baselines = [steps(trace, case, ds_eplb_policy(trace, case)) for case in job.cases]
    statics = [steps(trace, case, decline) for case in job.cases]
    clairvoyants = [clairvoyant_steps(trace, case) for case in job.cases]
    measured = take_turns([*baselines, *statics, *clairvoyants])
    thirds = (measured[first :: len(job.cases)] for first in range(len(job.cases)))
    for case, (baseline, static, clairvoyant) in zip(job.cases, thirds, strict=True):
        part.rows.append(row(case, job.grid, trace, baseline, static.par, clairvoyant))
        place = case.key
        part.curves.update({f"{place}/ds_eplb/{kind}": array for kind, array in series(baseline).items()})
        part.curves[f"{place}/ds_eplb/heat_map"] = heat_map(baseline.par).astype(np.float32)
        part.curves[f"{place}/static/par"] = iteration_means(static.par)
        part.curves[f"{place}/clairvoyant/par"] = iteration_means(clairvoyant)
    return part


def row(
    case: Case,
    grid: Grid,
    trace: Hotness,
    baseline: Replay,
    static: np.ndarray | ParRows,
    clairvoyant: np.ndarray | ParRows,
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


def ds_eplb_policy(trace: Hotness, case: Case) -> Rebalance:
    """DS-EPLB inside the simulator's process: all layers in order, at every call."""
    layers = np.arange(case.layers)

    def rebalance(start: int, stop: int, deployment: np.ndarray, iteration: int) -> tuple[np.ndarray, np.ndarray]:
        sums = trace.sums(start, stop)
        return layers, ds_eplb(sums, case.devices, case.redundant_experts, case.groups, case.nodes)

    return rebalance


def decline(start: int, stop: int, deployment: np.ndarray, iteration: int) -> None:
    """The static deployment's policy."""
