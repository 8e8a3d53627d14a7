"""A job's own process: it opens the trace once, forks a process for each case, and leaves their rows in a file."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from placement.errors import OrganizerError
from placement.evaluation.interruption import die_with_program
from placement.evaluation.machine import lack
from placement.grid import Case, Cost
from placement.isolation.sandbox import die_with_parent
from placement.trace import Trace
from placement.traces.files import open_trace
from traces.store import find, keep

from .measurement import failed_row, measured

WAIT_SECONDS = 0.5
JOB, ANSWER, POLICY = "job.json", "answer.json", "policy"
ANOTHER = "the trace differs from when the sweep began, or than its manifest.yaml lists"
STEP = "put the right trace there, or correct manifest.yaml, and start the sweep again"


def main(folder: Path) -> None:
    """Run the job in a folder: job.json and policy/ are read, answer.json is written."""
    die_with_parent()
    job = json.loads((folder / JOB).read_bytes())
    try:
        answer = {"rows": _rows(folder / POLICY, job)}
    except Exception as error:
        problem = error if isinstance(error, OrganizerError) else lack(error)
        if problem is None:
            raise
        answer = {"error": problem.fields()}
    (folder / ANSWER).write_text(json.dumps(answer, allow_nan=False), encoding="utf-8")


def _rows(policy: Path, job: dict[str, Any]) -> list[dict[str, Any]]:
    path, where = Path(job["trace"]), f"trace {job['name']}"
    trace = open_trace(path.parent.parent, path.parent.name, path.stem, None, narrow=True)
    if trace.sha256 != job["sha256"]:
        raise OrganizerError(ANOTHER, trace.sha256, job["sha256"], STEP, where)
    cost = Cost(**job["cost"])
    units = Path(job["units"]) if job["units"] else None
    rows = []
    for fields, made_of in zip(job["cases"], job["made_of"], strict=True):
        # A job that runs again has some of its rows.
        row = find(units, made_of) if units else None
        if row is None:
            row = _in_a_fork(policy, Case(**fields), trace, cost)
            if units and row["status"] == "ok":
                # On a full disk the sweep itself says so, when it keeps the row.
                with suppress(OSError):
                    keep(units, made_of, row)
        rows.append(row)
    return rows


def _in_a_fork(policy: Path, case: Case, trace: Trace, cost: Cost) -> dict[str, Any]:
    """A case's row; its process begins with what is loaded here, and has the trace without a copy."""
    context = multiprocessing.get_context("fork")
    connection, other = context.Pipe(duplex=False)
    process = context.Process(target=_serve, args=(policy, case, trace, cost, other))
    process.start()
    other.close()
    try:
        # A process that the policy left behind may hold the other end when its own has ended.
        while not connection.poll(WAIT_SECONDS):
            if not process.is_alive() and not connection.poll():
                return _lost(process.exitcode)
        return connection.recv()
    except EOFError:
        process.join()
        return _lost(process.exitcode)
    finally:
        process.kill()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.join()


def _serve(policy: Path, case: Case, trace: Trace, cost: Cost, connection: Connection) -> None:
    die_with_program()
    # Elsewhere nothing but a terminal's interrupt would end it with its program.
    if sys.platform == "linux":
        os.setpgid(0, 0)
    os.chdir(policy)
    # What a policy prints is for `run`, which limits it: here it could fill the disk.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    connection.send(measured(policy, case, trace, cost))
    # Without the policy's exit hooks, as in the sandbox.
    sys.stdout.flush()
    os._exit(0)


def _lost(exit_code: int | None) -> dict[str, Any]:
    what = "the policy's process ended without an answer"
    step = "look for used-up memory on the machine, or for what ends the process"
    got = f"exit code {exit_code}"
    return failed_row({"where": "", "what": what, "got": got, "expected": "an answer", "next": step})
