"""Jobs of `compare` on an executor: any free worker runs a policy on one trace, with the sandbox."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from placement.evaluation.temporary import fresh_folder
from placement.submission.contents import submission_files
from placement.submission.folder import find_policy
from placement.traces.whole_file import write_whole
from scores.comparison import read_reference, read_results
from sweeps.job import check_versions, made_with
from sweeps.pool import run_all
from sweeps.trace_file import TraceFile, here, trace_file
from traces.store import find, keep

from .policy_folder import staged
from .run import ingest
from .seeds import World
from .selection import grid_of, read_grid, write_grid
from .units import units_of


@dataclass(frozen=True)
class UnitJob:
    """A job: the files of a policy, and the content of a grid file with the cases of one trace; the rest as in
    sweeps.job.Job.
    """

    title: str
    files: Mapping[str, bytes] = field(repr=False)
    trace: TraceFile
    grid: Mapping[str, Any]
    made_of: Mapping[str, Any] = field(repr=False)
    made_with: Mapping[str, str]

    def lost(self, error: Exception) -> list[dict[str, Any]]:
        """No rows: whoever asks for the unit next runs it, and hears why."""
        return []


def keep_all(
    policies: Iterable[Path], worlds: Iterable[World], units: Path, executor: Executor, show: Callable[[str], None]
) -> None:
    """Run the policies on the worlds, except results that the folder `units` has, and keep the results there.

    Results with a failed case are not kept, so the next command runs them again and shows the reason. Raises
    OrganizerError.
    """
    jobs = [job for world in worlds for policy in policies for job in _missing(policy, world, units)]

    def finished(job: UnitJob, rows: list[dict[str, Any]]) -> None:
        if rows and all(row["status"] == "ok" and row["trace_sha256"] == job.trace.sha256 for row in rows):
            keep(units, job.made_of, rows)
        show(f"{job.title} on {job.trace.name}: {len(rows)} cases")

    if jobs:
        run_all(jobs, executor, finished, run=run_unit)


def run_unit(job: UnitJob, content: np.ndarray | None = None) -> list[dict[str, Any]] | None:
    """The rows of results.json, or None where this machine lacks the trace and was not sent it.

    No rows where the ingestion program left none. content: as of run_job. Raises OrganizerError for a worker with
    other versions.
    """
    check_versions(job.made_with)
    path = here(job.trace, content)
    if path is None:
        return None
    with fresh_folder() as folder:
        for name, content in job.files.items():
            write_whole(folder / "policy" / name, content)
        link = folder / "traces" / job.trace.model / f"{job.trace.dataset}{path.suffix}"
        link.parent.mkdir(parents=True)
        link.symlink_to(path.resolve())
        write_grid(folder / "grid.yaml", dict(job.grid))
        ingest(folder / "policy", folder / "grid.yaml", folder / "traces", folder / "output", 1)
        results = folder / "output" / "results.json"
        return read_results(results.read_bytes())["cases"] if results.is_file() else []


def _missing(policy: Path, world: World, units: Path) -> list[UnitJob]:
    grid, stored = read_grid(world.grid), read_reference(world.reference / "ds_eplb.json")
    with staged(policy) as submission:
        folder = find_policy(submission)[0]
        files = {name: path.read_bytes() for name, path in submission_files(folder)[0].items()}
        missing = [both for both in units_of(submission, grid, stored) if find(units, both[1]) is None]
    return [
        UnitJob(
            policy.name,
            files,
            trace_file(world.traces, cases[0].model, cases[0].dataset),
            grid_of(world.grid, cases),
            made_of,
            made_with(),
        )
        for cases, made_of in missing
    ]
