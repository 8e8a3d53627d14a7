"""`run --generate`: a trace drawn while it is replayed: its grid and its reference are kept, its values nowhere."""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from placement.chunked_trace import ChunkedTrace
from placement.errors import OrganizerError, SubmissionRefused
from placement.evaluation.case_run import active_layers
from placement.evaluation.clock import Clock
from placement.evaluation.findings import Findings, report, write
from placement.evaluation.grid_run import run_grid
from placement.evaluation.progress import Progress
from placement.evaluation.signature import PUBLISHED_KEY
from placement.evaluation.temporary import temporary_folder
from placement.evaluation.trace_process import Run
from placement.evaluation.versions import versions
from placement.explain import bin_starts
from placement.grid import Case, grid_from_mapping
from placement.shifts import samples
from placement.submission.contents import submission_files
from placement.submission.folder import find_policy
from placement.submission.receipt import receipt, receipt_line, simulator_sha256
from placement.submission.stage import stage
from placement.traces.par_file import ParFile
from traces.reference import REFERENCE_FORMAT, build
from traces.reference import write as write_reference

from .argument_types import integer_from
from .generate import SAMPLE_SEED, NewTrace, find_profile
from .options import UsageError
from .own_traces import fitted_grid
from .places import OUTPUT, short
from .seeds import World
from .selection import read_grid, select, write_grid

NAME = "streams"
# What a stream takes the place of.
OTHERS = ("grid", "traces", "reference", "placement")
FEWEST = 6


@dataclass(frozen=True)
class Streams:
    """One trace in the form of placement.traces.files.Traces. Opening draws it and holds a window and two chunks."""

    new: NewTrace

    @property
    def manifest(self) -> dict[str, Any]:
        """The content of a manifest that lists the trace; without shape and hash, which nobody has measured."""
        return {"traces": {self.new.name: {"origin": self.new.origin(), "licence": self.new.licence}}}

    @property
    def known_by(self) -> str:
        """The text that results have in the place of a hash."""
        return f"no hash: {self.new.origin()}; {list(self.new.shape)}"

    def check(self, model: str, dataset: str) -> None:
        """Nothing can be missing."""

    def trace_of(self, case: Case) -> ChunkedTrace:
        """The trace of every case. Raises OrganizerError for one that cannot be generated."""
        iterations, name = self.new.iterations, f"trace {self.new.name}"
        # Looked at when all is measured: the trace would be drawn a second time.
        pinned = samples(bin_starts(iterations), iterations)
        return ChunkedTrace(self.new.stream(), self.known_by, case.window, ParFile, pinned=pinned, name=name)


@dataclass(frozen=True)
class StreamedWorld:
    """A grid file and the folder of its reference, and what draws the trace."""

    grid: Path
    reference: Path
    streams: Streams

    @property
    def world(self) -> World:
        """The same for who looks for a folder of traces: there is none."""
        return World(self.grid, self.grid.parent / "traces", self.reference)


def add_stream(parser: argparse.ArgumentParser) -> None:
    """Declare --generate and --iterations."""
    parser.add_argument(
        "--generate",
        metavar="PROFILE",
        help="instead of traces: draw one while it is replayed, from a profile (as kit.py generate) and --seed "
        f"({SAMPLE_SEED} without it); it may be of any length, and is stored nowhere",
    )
    parser.add_argument(
        "--iterations",
        type=integer_from(FEWEST),
        metavar="N",
        help="with --generate: length of the trace (default: the profile's)",
    )


def streamed_world(options: argparse.Namespace) -> StreamedWorld | None:
    """The grid of the cases that --case names, written, for the trace that --generate describes; None without it.

    Raises UsageError, and OrganizerError for what is no profile.
    """
    if options.generate is None:
        if options.iterations is not None:
            got, expected = f"--iterations {options.iterations}", "it with --generate alone"
            raise UsageError("--iterations is for a generated trace", got, expected, "leave it out, or add --generate")
        return None
    if named := [name for name in OTHERS if getattr(options, name)]:
        got = f"--{named[0]} {getattr(options, named[0])}"
        raise UsageError(f"--generate and --{named[0]} are named", got, "one of them", "leave one out")
    profile = find_profile(options.generate)
    seed, iterations = options.seed, options.iterations or profile.iterations
    streams = Streams(NewTrace(profile, profile.dataset, iterations, SAMPLE_SEED if seed is None else seed))
    content = _grid_content(streams.new, options.cases)
    made_of = [content, streams.known_by, versions(), simulator_sha256(), REFERENCE_FORMAT]
    digits = hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:12]
    folder = OUTPUT / NAME / digits
    write_grid(folder / "grid.yaml", content)
    return StreamedWorld(folder / "grid.yaml", folder / "reference", streams)


def measure_stream_once(world: StreamedWorld, show: Callable[[str], None]) -> None:
    """Measure DS-EPLB and the yardsticks on a stream, unless that was done before. Raises OrganizerError."""
    grid = read_grid(world.grid)
    iterations, layers, experts = world.streams.new.shape
    shape = f"{iterations} iterations of {layers} layers and {experts} experts"
    show(f"{', '.join(case.name for case in grid.cases)}: {shape}, window {grid.window}; grid {short(world.grid)}")
    if not (world.reference / "ds_eplb.json").is_file():
        show("measures DS-EPLB on this trace, once")
        with temporary_folder():
            write_reference(world.reference, *build(grid, world.streams))


def ingest_stream(submission: Path, world: StreamedWorld, output: Path) -> None:
    """Run a policy on a stream's cases, and write and print what the ingestion program writes and prints of a run.

    submission: a folder or a zip. Raises OSError.
    """
    clock, findings = Clock(), Findings()
    output.mkdir(parents=True, exist_ok=True)
    try:
        _measure(submission, world, findings)
    except (SubmissionRefused, OrganizerError) as error:
        findings.status = "refused" if isinstance(error, SubmissionRefused) else "data_unavailable"
        findings.failure = error
    write(output, findings, clock, PUBLISHED_KEY)
    report(findings)


def _measure(submission: Path, world: StreamedWorld, findings: Findings) -> None:
    findings.grid = grid = read_grid(world.grid)
    files, _ = submission_files(find_policy(submission)[0])
    with temporary_folder():
        stage(files, copy := Path(tempfile.mkdtemp(prefix="submission-")))
        findings.receipt = receipt(copy, grid)
        print(receipt_line(findings.receipt), flush=True)
        findings.outcomes = run_grid(Run(copy, grid, world.streams), 1, Progress(len(grid.cases)))
    print(f"sandbox: {grid.sandbox}, active: {', '.join(active_layers(findings.outcomes)) or 'none'}", flush=True)
    failed = any(outcome.row["status"] != "ok" for outcome in findings.outcomes)
    findings.status = "failed" if failed else "scored"


def _grid_content(new: NewTrace, names: list[str] | None) -> dict[str, Any]:
    content = fitted_grid(NAME, {new.name: new.shape})
    eps = [case.ep for case in select(grid_from_mapping(content), names)]
    cases = [{"model": new.profile.model, "dataset": new.dataset, "ep": eps}]
    return content | {"cases": cases}
