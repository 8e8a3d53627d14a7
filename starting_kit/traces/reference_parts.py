"""Parts of a reference: traces, each measured in a process and kept in a file until all of the reference is written."""

from __future__ import annotations

import gc
import hashlib
import json
import multiprocessing
import signal
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from placement.errors import OrganizerError
from placement.evaluation.interruption import die_with_program, end_processes
from placement.evaluation.result_files import write_series
from placement.evaluation.trace_process import METHOD
from placement.evaluation.versions import versions
from placement.grid import Case, Grid
from placement.submission.receipt import simulator_sha256
from placement.trace import Hotness
from placement.traces.files import Traces

# The member of a part's file that holds all but the curves, as JSON.
HEAD = "part"
# One more whenever a part must be read otherwise; 1 had no number.
PART_FORMAT = 3
MEASURED_BY = Path(__file__).with_name("reference.py")


@dataclass(frozen=True)
class Part:
    """Rows of ds_eplb.json and curves of series.npz, of one trace."""

    rows: list[dict[str, Any]]
    curves: dict[str, np.ndarray]


@dataclass(frozen=True)
class PartJob:
    """All cases of the trace `name`, and what is needed to measure them in another process.

    folder: where parts are kept, or None.
    """

    grid: Grid
    name: str
    cases: list[Case]
    traces: Traces
    folder: Path | None


Measure = Callable[[PartJob, Hotness], Part]


def make_parts(work: Sequence[PartJob], measure: Measure, jobs: int, show: Callable[[str], None]) -> list[Part]:
    """The parts in the order of `work`, made or found, at most `jobs` at a time; `show` is called with a line for each.

    After an error no further trace is begun, and those that were are finished. Raises OrganizerError, the first one
    in the order of `work`.
    """
    context = multiprocessing.get_context(METHOD)
    # What an earlier pool left behind is taken away here: a fork that did so could wait for ever for a lock, which some
    # thread of this process held when it was made.
    gc.collect()
    try:
        with ProcessPoolExecutor(min(jobs, len(work)), context, initializer=begin_process) as pool:
            futures = {pool.submit(_make_part, job, measure): job for job in work}
            try:
                for done, future in enumerate(as_completed(futures), 1):
                    if future.exception():
                        # Waits for the begun ones: no thread of this pool may live on beside the forks of the next.
                        pool.shutdown(cancel_futures=True)
                        break
                    job = futures[future]
                    show(f"[{done}/{len(work)}] {job.name}: {len(job.cases)} cases {future.result()[1]}")
            except KeyboardInterrupt:
                # The pool would wait for what they measure, which may take minutes.
                end_processes()
                raise
        # Traces are begun in order, so the cancelled ones come after the error.
        return [future.result()[0] for future in futures]
    # Submitting raises it as well, when a process has ended before its job has come.
    except BrokenProcessPool:
        raise OrganizerError(
            "a process that measured a trace was ended from outside",
            got=f"no result with --jobs {jobs}",
            expected="memory for two copies of a trace in each process",
            next_step="use a smaller --jobs",
            where="reference",
        ) from None


def _make_part(job: PartJob, measure: Measure) -> tuple[Part, str]:
    """A trace's part, and how it was come by."""
    trace = job.traces.trace_of(job.cases[0])
    if job.folder is None:
        return measure(job, trace), "measured"
    path, identity = job.folder / f"{job.name}.npz", _identity(job, trace)
    part, useless = _read(path, identity)
    if part:
        return part, "kept from an earlier run"
    part = measure(job, trace)
    try:
        _write(path, identity, part)
    except OSError as error:
        raise not_written(error, path) from None
    return part, "measured" + (f" again, because the part that was kept {useless}" if useless else "")


def _identity(job: PartJob, trace: Hotness) -> dict[str, Any]:
    """All that a part depends on, by the names that a person is told when one differs."""
    return {
        "format": PART_FORMAT,
        "trace": job.name,
        "trace_sha256": trace.sha256,
        "window": job.grid.window,
        "latency": job.grid.latency,
        "cost": asdict(job.grid.cost),
        "list of cases": [[case.name, case.layers, case.experts, case.groups, case.nodes] for case in job.cases],
        # The reference states one version of each for all its rows.
        **{f"{name} version": version for name, version in versions().items()},
        # Which columns and curves there are, and how each is measured.
        "simulator sources": simulator_sha256(),
        "traces/reference.py": hashlib.sha256(MEASURED_BY.read_bytes()).hexdigest(),
    }


def _write(path: Path, identity: Mapping[str, Any], part: Part) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    head = json.dumps({"identity": identity, "rows": part.rows}, allow_nan=False).encode("utf-8")
    write_series(path, {HEAD: np.frombuffer(head, np.uint8), **part.curves})


def _read(path: Path, identity: Mapping[str, Any]) -> tuple[Part | None, str]:
    """The part that was kept, or None and what is wrong with it: nothing, when there is none."""
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            curves = {name: archive[name] for name in archive.files}
        head = json.loads(curves.pop(HEAD).tobytes())
        part, kept = Part(head["rows"], curves), dict(head["identity"])
    except FileNotFoundError:
        return None, ""
    # numpy and zipfile raise nearly anything on a damaged file.
    except Exception as error:
        return None, f"cannot be read ({type(error).__name__}: {error})"
    others = [name for name, value in identity.items() if kept.get(name) != value]
    return (None, f"has another {', '.join(others)}") if others else (part, "")


def not_written(error: OSError, path: Path) -> OrganizerError:
    """The error for a file or folder of the output's."""
    return OrganizerError(
        f"{path} cannot be written",
        got=f"{type(error).__name__}: {error}",
        expected="a folder with room for the reference",
        next_step="free space, or name another --output",
        where="reference",
    )


def begin_process() -> None:
    """Begin a process of a pool: an interrupt is for the command alone, with which the process ends."""
    # What was inherited is never collected in this process, see above.
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    die_with_program()
