"""Units: a policy's results on all cases of one trace. Kept units are not measured again while nothing changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from placement.evaluation.temporary import fresh_folder
from placement.evaluation.versions import versions
from placement.grid import Case, Grid
from placement.submission.receipt import policy_sha256, simulator_sha256
from scores.comparison import case_name, read_reference, read_results
from sweeps.libraries import libraries
from traces.store import find, keep

from .frame import RunFailed, frame_of
from .policy_folder import staged
from .run import NO_RESULTS, ingest
from .seeds import World
from .selection import grid_of, read_grid, write_grid
from .worlds import check_reference

if TYPE_CHECKING:
    import pandas as pd


def run_kept(policy: Path, world: World, units: Path, jobs: int) -> pd.DataFrame:
    """The table of a world's whole grid, as `run` returns it; results that the folder `units` has are not measured
    again.

    Raises UsageError for a reference of another grid, RunFailed, and problems.FileError.
    """
    grid = read_grid(world.grid)
    check_reference(world, grid, grid.cases)
    stored = read_reference(world.reference / "ds_eplb.json")
    return frame_of(results_of(policy, world, stored, units, jobs), stored, None)


def results_of(policy: Path, world: World, stored: Mapping[str, Any], units: Path, jobs: int) -> dict[str, Any]:
    """The content of results.json of a policy on a world's grid; only traces that `units` lacks are run.

    stored: the content of ds_eplb.json, which has the hash of each trace. A trace's results are kept where all its
    cases are `ok`, also when the policy fails on another trace; the content then has the failed rows. Raises RunFailed.
    """
    grid = read_grid(world.grid)
    with staged(policy) as submission:
        made_of = units_of(submission, grid, stored)
        kept = [find(units, parts) for _, parts in made_of]
        missing = [cases for (cases, _), rows in zip(made_of, kept, strict=True) if rows is None]
        content = _measured(submission, world, missing, jobs) if missing else {"status": "scored", "cases": []}
    new, rows = {case_name(row): row for row in content["cases"]}, []
    for (cases, parts), found in zip(made_of, kept, strict=True):
        if found is None:
            found = [new[case.name] for case in cases if case.name in new]
            if len(found) == len(cases) and all(row["status"] == "ok" for row in found):
                keep(units, parts, found)
        rows += found
    return {"versions": versions()} | content | {"cases": rows if content["status"] in ("scored", "failed") else []}


def is_kept(policy: Path, world: World, stored: Mapping[str, Any], units: Path) -> bool:
    """Whether `units` has everything that results_of needs, so that no trace has to be there."""
    with staged(policy) as submission:
        return all(find(units, parts) is not None for _, parts in units_of(submission, read_grid(world.grid), stored))


def units_of(submission: Path, grid: Grid, stored: Mapping[str, Any]) -> list[tuple[list[Case], dict[str, Any]]]:
    """For each trace of a grid: the trace's cases, and everything that a policy's results on them depend on."""
    digits, hashes = policy_sha256(submission), {case_name(row): row["trace_sha256"] for row in stored["cases"]}
    shared = {
        "unit": "policy on a trace",
        "policy_sha256": digits,
        "window": grid.window,
        "latency": grid.latency,
        "cost": asdict(grid.cost),
        # A limit changes no score, but whether there is one.
        "limits": asdict(grid.limits),
        "simulator_sha256": simulator_sha256(),
        "versions": versions() | libraries(),
    }
    return [
        (cases, shared | {"trace_sha256": hashes[cases[0].name], "cases": [asdict(case) for case in cases]})
        for cases in grid.by_trace()
    ]


def _measured(submission: Path, world: World, missing: Sequence[Sequence[Case]], jobs: int) -> dict[str, Any]:
    import pandas as pd

    with fresh_folder() as output:
        write_grid(output / "grid.yaml", grid_of(world.grid, [case for cases in missing for case in cases]))
        log = ingest(submission, output / "grid.yaml", world.traces, output, jobs)
        if not (output / "results.json").is_file():
            raise RunFailed(log or NO_RESULTS, pd.DataFrame(), "data_unavailable")
        return read_results((output / "results.json").read_bytes())
