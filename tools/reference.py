"""Writes reference_data: DS-EPLB's results on a grid's traces, which every submission is scored against.

    python tools/reference.py
    python tools/reference.py --grid ingestion_program/grid_official.yaml --traces DIR --output DIR --jobs N

ds_eplb.json has one row per case; series.npz has curves for the page: DS-EPLB's, and those of two yardsticks,
the static deployment and clairvoyant DS-EPLB.
Each trace that is finished is kept in the output's folder reference_parts until the reference is written, so that the
same command goes on where an earlier one was interrupted, or failed.
Exit code 0: written. 2: the grid, a trace or the output is wrong. 130: interrupted.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "ingestion_program"))

from ingestion import cores, read_manifest, read_yaml  # noqa: E402
from placement.clairvoyant import clairvoyant_par  # noqa: E402
from placement.ds_eplb import ds_eplb  # noqa: E402
from placement.errors import OrganizerError  # noqa: E402
from placement.explain import heat_map  # noqa: E402
from placement.grid import Case, Grid, grid_from_mapping  # noqa: E402
from placement.keys import read_key  # noqa: E402
from placement.replay import Rebalance, Replay, replay  # noqa: E402
from placement.result_files import write_json, write_series  # noqa: E402
from placement.results import identity, mean_par, measures, series, versions  # noqa: E402
from placement.trace import Trace, find_trace  # noqa: E402
from progress import end_when_interrupted  # noqa: E402
from reference_parts import Job, Part, make_parts, not_written  # noqa: E402

PARTS = "reference_parts"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    return run(parse(arguments))


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the options; without any, the reference that ships is written."""
    parser = argparse.ArgumentParser(description="Write DS-EPLB's results for a grid.")
    parser.add_argument("--grid", type=Path, default=ROOT / "ingestion_program" / "grid.yaml")
    parser.add_argument("--traces", type=Path, default=ROOT / "sample_traces")
    parser.add_argument("--key", type=Path, help="opens sealed traces: 64 hexadecimal characters")
    parser.add_argument("--output", type=Path, default=ROOT / "reference_data")
    parser.add_argument(
        "--jobs", type=int, default=cores(), help="traces measured at the same time (default: all cores)"
    )
    options = parser.parse_args(arguments)
    if options.jobs < 1:
        parser.error(f"--jobs must be at least 1, got {options.jobs}")
    return options


def run(options: argparse.Namespace) -> int:
    """Write the reference, or say why there is none, and return the exit code."""
    notes: list[str] = []
    parts = options.output / PARTS
    try:
        grid = grid_from_mapping(read_yaml(options.grid, "grid"))
        manifest = read_manifest(options.traces, notes)
        key = read_key(options.key) if options.key else None
        for note in notes:
            tell(f"note: {note}")
        reference, curves = build(grid, options.traces, manifest, key, options.jobs, parts, tell)
        write(options.output, reference, curves)
    except OrganizerError as error:
        tell(str(error))
        if parts.is_dir():
            tell(how_to_go_on(parts))
        return 2
    shutil.rmtree(parts, ignore_errors=True)
    tell(f"wrote {len(reference['cases'])} cases to {options.output}")
    return 0


def tell(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


def how_to_go_on(parts: Path) -> str:
    """What an unfinished run leaves."""
    return f"the traces that were finished are kept in {parts}, and the same command goes on from there"


def build(
    grid: Grid,
    traces: Path,
    manifest: Mapping[str, Any] | None,
    key: bytes | None = None,
    jobs: int = 1,
    parts: Path | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The content of ds_eplb.json and of series.npz, the same whatever `jobs` is; key opens sealed traces.

    parts: folder for what is finished, which a later call uses; tell: called with a line per finished trace.
    Raises OrganizerError.
    """
    groups: dict[str, list[Case]] = {}
    for case in grid.cases:
        groups.setdefault(f"{case.model}/{case.dataset}", []).append(case)
    for cases in groups.values():
        find_trace(traces, cases[0].model, cases[0].dataset)
    work = [Job(grid, name, cases, traces, manifest, key, parts) for name, cases in groups.items()]
    made = make_parts(work, measure, jobs, tell)
    rows = {(row["model"], row["dataset"], row["ep"]): row for part in made for row in part.rows}
    provenance = {}
    for name in groups:
        entry = manifest["traces"][name] if manifest else {}
        provenance[name] = {key: entry.get(key, "not stated") for key in ("origin", "licence")}
    written_by = "tools/reference.py: DS-EPLB (placement.ds_eplb), called after every window, all layers in order"
    head = {"grid": grid.name, "written_by": written_by, "versions": versions(), "traces": provenance}
    in_order = [rows[case.model, case.dataset, case.ep] for case in grid.cases]
    return head | {"cases": in_order}, {name: curve for part in made for name, curve in part.curves.items()}


def write(output: Path, reference: Mapping[str, Any], curves: Mapping[str, np.ndarray]) -> None:
    """Write both files. Raises OrganizerError when that is not possible."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        write_series(output / "series.npz", curves)
        write_json(output / "ds_eplb.json", reference)
    except OSError as error:
        raise not_written(error, output) from None


def measure(job: Job, trace: Trace) -> Part:
    """Rows and curves of a trace's cases. Raises OrganizerError."""
    part = Part([], {})
    for case in job.cases:
        baseline, static = replay(trace, case, ds_eplb_policy(trace, case)), replay(trace, case, decline)
        clairvoyant = clairvoyant_par(trace, case)
        part.rows.append(row(case, job.grid, trace, baseline, static.par, clairvoyant))
        place = f"{job.name}/{case.ep}"
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
    version = {"simulator_version": versions()["simulator"]}
    return identity(case, grid.cost, trace.sha256) | measures(baseline) | yardsticks | version


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
    settings = parse(None)
    end_when_interrupted(f"reference: interrupted; {how_to_go_on(settings.output / PARTS)}")
    sys.exit(run(settings))
