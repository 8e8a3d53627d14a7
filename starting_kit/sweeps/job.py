"""A job: a variant on its cases of one trace, which any process of any machine with this kit can run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from placement.errors import OrganizerError
from placement.evaluation.temporary import fresh_folder
from placement.evaluation.versions import versions
from placement.grid import Case, Cost
from placement.isolation.sandbox import environment
from placement.isolation.sandbox import libraries as library_folders
from placement.isolation.template import PACKAGE_FOLDER
from placement.submission.receipt import simulator_sha256
from placement.traces.whole_file import write_whole

from .libraries import libraries
from .measurement import failed_row
from .program import ANSWER, JOB, POLICY
from .trace_file import TraceFile, here

KIT = Path(__file__).resolve().parents[1]
# The kit's folder leaves the path again, so that a policy imports what it could import when it is run.
BOOT = (
    "import json, pathlib, sys; sys.path[:] = json.loads(sys.argv[1]);"
    "from sweeps.program import main; del sys.path[:2]; main(pathlib.Path(sys.argv[2]))"
)
LONGEST_LOG = 2000
# The programs that run now, for an interrupt to end.
RUNNING: set[subprocess.Popen[bytes]] = set()


class JobLost(Exception):
    """The job's process ended before it answered: nothing is known of its cases, and it may be run again."""


@dataclass(frozen=True)
class Job:
    """Cases of one trace for the policy in `files`.

    made_with: what the worker must have, as made_with() gives it; units, made_of: where a row is kept as soon as it is
    measured, if the worker has this folder, and what each case's row is made of (traces/store.py).
    """

    title: str
    files: Mapping[str, bytes] = field(repr=False)
    trace: TraceFile
    cases: tuple[Case, ...]
    cost: Cost
    made_with: Mapping[str, str]
    units: Path
    made_of: tuple[Mapping[str, Any], ...] = field(repr=False)

    def lost(self, error: Exception) -> list[dict[str, Any]]:
        """The rows of a job whose process or worker was lost again and again."""
        got = f"{type(error).__name__}: {error}".rstrip(": ")
        step = "look for used-up memory, or for what in the policy ends processes"
        failure = {"where": "", "what": "the process of the policy's cases was lost", "got": got}
        return [failed_row(failure | {"expected": "a process that lives on", "next": step}) for _ in self.cases]


def made_with() -> dict[str, str]:
    """All versions that a result depends on, of this process."""
    return versions() | libraries() | {"simulator_sha256": simulator_sha256()}


def run_job(job: Job, content: np.ndarray | None = None) -> list[dict[str, Any]] | None:
    """The rows of a job's cases in their order, or None where this machine lacks the trace and was not sent it.

    content: the trace's values, for a worker that lacks them. Raises OrganizerError, also for a worker with other
    versions, and JobLost.
    """
    check_versions(job.made_with)
    path = here(job.trace, content)
    if path is None:
        return None
    with fresh_folder() as folder:
        # The policy's own place below: files of a policy that leave it would be the policy's doing.
        for name, content in job.files.items():
            write_whole(folder / POLICY / name, content)
        told = {"trace": str(path), "name": job.trace.name, "sha256": job.trace.sha256, "cost": asdict(job.cost)}
        told["cases"] = [asdict(case) for case in job.cases]
        # A worker elsewhere has no such folder, and returns its rows alone.
        told["units"] = str(job.units) if job.units.is_dir() else None
        told["made_of"] = list(job.made_of)
        (folder / JOB).write_text(json.dumps(told), encoding="utf-8")
        return _answer(folder.resolve(), job.title)


def end_jobs() -> None:
    """Kill the programs that this process runs."""
    for program in list(RUNNING):
        program.kill()


def _answer(folder: Path, title: str) -> list[dict[str, Any]]:
    paths = json.dumps([str(KIT), str(PACKAGE_FOLDER), *library_folders()])
    scratch = folder / "scratch"
    scratch.mkdir()
    command = [sys.executable, "-B", "-c", BOOT, paths, str(folder)]
    with (folder / "log").open("wb") as log:
        streams = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
        # As in the sandbox: one thread, and the same values of what decides an order.
        program = subprocess.Popen(command, **streams, env=environment(scratch), cwd="/")
        RUNNING.add(program)
        try:
            code = program.wait()
        finally:
            program.kill()
            program.wait()
            RUNNING.discard(program)
    if code < 0:
        raise JobLost(f"{title}: ended by signal {-code}")
    try:
        answer = json.loads((folder / ANSWER).read_bytes())
    except (OSError, ValueError):
        said = (folder / "log").read_bytes()[-LONGEST_LOG:].decode("utf-8", "replace").strip()
        got = f"exit code {code}" + f": {said}" * bool(said)
        raise OrganizerError(
            "a job of the sweep failed", got, "measured cases", "correct what the message names", title
        ) from None
    if "error" in answer:
        told = answer["error"]
        raise OrganizerError(told["what"], told["got"], told["expected"], told["next"], told["where"])
    return answer["rows"]


def check_versions(wanted: Mapping[str, str]) -> None:
    """Raise OrganizerError unless this process has the versions that made_with() gave elsewhere."""
    found = made_with()
    if others := [name for name in wanted if found.get(name) != wanted[name]]:
        got = ", ".join(f"{name} {found.get(name)}" for name in others)
        expected = ", ".join(f"{name} {wanted[name]}" for name in others) + ", as where the sweep was started"
        raise OrganizerError("a worker has other versions", got, expected, "make its environment the same", "sweep")
