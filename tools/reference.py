"""Writes reference_data: DS-EPLB's results on a grid's traces, which every submission is scored against.

    python tools/reference.py
    python tools/reference.py --grid ingestion_program/grid_official.yaml --traces DIR --output DIR

ds_eplb.json has one row per case; series.npz has DS-EPLB's and the static deployment's curves for the page.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "ingestion_program"))

from ingestion import read_manifest, read_yaml  # noqa: E402
from placement.ds_eplb import ds_eplb  # noqa: E402
from placement.errors import OrganizerError  # noqa: E402
from placement.grid import Case, Grid, grid_from_mapping  # noqa: E402
from placement.keys import read_key  # noqa: E402
from placement.replay import Rebalance, Replay, replay  # noqa: E402
from placement.result_files import write_json, write_series  # noqa: E402
from placement.results import identity, mean_par, measures, series, versions  # noqa: E402
from placement.trace import Trace, check_fits, open_trace  # noqa: E402


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(description="Write DS-EPLB's results for a grid.")
    parser.add_argument("--grid", type=Path, default=ROOT / "ingestion_program" / "grid.yaml")
    parser.add_argument("--traces", type=Path, default=ROOT / "sample_traces")
    parser.add_argument("--key", type=Path, help="opens sealed traces: 64 hexadecimal characters")
    parser.add_argument("--output", type=Path, default=ROOT / "reference_data")
    options = parser.parse_args(arguments)
    notes: list[str] = []
    try:
        grid = grid_from_mapping(read_yaml(options.grid, "grid"))
        manifest = read_manifest(options.traces, notes)
        key = read_key(options.key) if options.key else None
        reference, curves = build(grid, options.traces, manifest, key)
    except OrganizerError as error:
        print(error)
        return 2
    options.output.mkdir(parents=True, exist_ok=True)
    write_series(options.output / "series.npz", curves)
    write_json(options.output / "ds_eplb.json", reference)
    for note in notes:
        print(f"note: {note}")
    print(f"wrote {len(reference['cases'])} cases to {options.output}")
    return 0


def build(
    grid: Grid, traces: Path, manifest: Mapping[str, Any] | None, key: bytes | None = None
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The content of ds_eplb.json and of series.npz; key opens sealed traces. Raises OrganizerError."""
    rows: list[dict[str, Any]] = []
    curves: dict[str, np.ndarray] = {}
    provenance: dict[str, Any] = {}
    for cases in grid.by_trace():
        name = f"{cases[0].model}/{cases[0].dataset}"
        trace = open_trace(traces, cases[0].model, cases[0].dataset, manifest, key)
        check_fits(trace, f"trace {name}", cases[0].layers, cases[0].experts, grid.window)
        entry = manifest["traces"][name] if manifest else {}
        provenance[name] = {key: entry.get(key, "not stated") for key in ("origin", "licence")}
        for case in cases:
            baseline, static = replay(trace, case, ds_eplb_policy(trace, case)), replay(trace, case, decline)
            rows.append(row(case, grid, trace, baseline, static))
            place = f"{name}/{case.ep}"
            curves |= {f"{place}/ds_eplb/{kind}": array for kind, array in series(baseline).items()}
            curves[f"{place}/static/par"] = series(static)["par"]
    written_by = "tools/reference.py: DS-EPLB (placement.ds_eplb), called after every window, all layers in order"
    head = {"grid": grid.name, "written_by": written_by, "versions": versions(), "traces": provenance}
    return head | {"cases": rows}, curves


def row(case: Case, grid: Grid, trace: Trace, baseline: Replay, static: Replay) -> dict[str, Any]:
    """One case of ds_eplb.json. Raises OrganizerError when DS-EPLB moved nothing."""
    if not baseline.transmit_amount:
        raise OrganizerError(
            "DS-EPLB moves nothing, so transmit_vs_ds_eplb would be undefined",
            got="transmit_amount 0",
            expected="a trace on which DS-EPLB changes a slot",
            next_step="use a longer trace or one with uneven hotness",
            where=case.name,
        )
    measured = measures(baseline) | {"static_mean_par": mean_par(static.par)}
    return identity(case, grid.cost, trace.sha256) | measured | {"simulator_version": versions()["simulator"]}


def ds_eplb_policy(trace: Trace, case: Case) -> Rebalance:
    """DS-EPLB inside the simulator's process: all layers in order, at every call."""
    layers = np.arange(case.layers)

    def rebalance(start: int, stop: int, deployment: np.ndarray, iteration: int) -> tuple[np.ndarray, np.ndarray]:
        weights = trace.window(start, stop).sum(axis=0, dtype=np.int64)
        return layers, ds_eplb(weights, case.devices, case.redundant_experts)

    return rebalance


def decline(start: int, stop: int, deployment: np.ndarray, iteration: int) -> None:
    """The static deployment's policy."""


if __name__ == "__main__":
    sys.exit(main())
