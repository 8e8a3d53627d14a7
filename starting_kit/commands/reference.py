"""`reference`: measure DS-EPLB on a grid's traces. Every submission is scored against the reference that this writes.

The measurement of each finished trace is kept in reference_parts in the output folder until the reference is written.
So the same command continues after an interruption or a failure.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from placement.errors import OrganizerError
from placement.evaluation.grid_run import cores
from placement.grid import Grid
from placement.traces.files import TraceFolder, manifest_beside
from placement.traces.keys import read_key
from traces.reference import NAMED, build, write

from . import options as shared
from .named_paths import check_output
from .options import show
from .places import REFERENCE
from .selection import read_grid
from .worlds import check_traces, world_of

EXAMPLES = """
reference  make the reference of the sample grid again
reference --grid my_grid.yaml --traces DIR --output DIR  make the reference of another grid
"""
PARTS = "reference_parts"


def add_reference(commands: Any) -> None:
    """Declare the command."""
    parser = shared.add_command(
        commands,
        "reference",
        "measure DS-EPLB on a grid's traces: the reference that submissions are scored against",
        EXAMPLES,
    )
    shared.add_grid(parser)
    shared.add_traces(parser)
    parser.add_argument("--key", type=Path, help="key file of sealed traces: 64 hexadecimal characters")
    parser.add_argument(
        "--output",
        type=Path,
        default=REFERENCE,
        metavar="FOLDER",
        help="folder for ds_eplb.json and series.npz (default: reference_data)",
    )
    parser.add_argument(
        "--jobs", type=int, default=cores(), help="traces measured at the same time (default: all cores)"
    )
    parser.set_defaults(run=run_reference, interrupted=interrupted)


def run_reference(options: argparse.Namespace) -> int:
    """Write the reference, or print why it cannot be written; return the exit code. Raises UsageError."""
    shared.check_least("--jobs", options.jobs, 1)
    check_output("--output", options.output)
    notes: list[str] = []
    parts = options.output / PARTS
    try:
        grid = read_grid(options.grid)
        world = world_of(options.grid, options.traces)
        check_traces(world, grid.cases)
        # Before the minutes that measuring takes, and before anything is replaced.
        if replaced := other_grid(options.output / "ds_eplb.json", grid):
            show(f"note: {replaced}")
        folder = world.traces
        manifest = manifest_beside(folder, notes)
        traces = TraceFolder(folder, manifest, read_key(options.key) if options.key else None)
        for note in notes:
            show(f"note: {note}")
        reference, curves = build(grid, traces, options.jobs, parts, show)
        write(options.output, reference, curves)
    except OrganizerError as error:
        show(str(error))
        if parts.is_dir():
            show(how_to_go_on(parts))
        return 2
    shutil.rmtree(parts, ignore_errors=True)
    show(f"wrote {len(reference['cases'])} cases to {options.output}")
    return 0


def other_grid(path: Path, grid: Grid) -> str:
    """A note where the file holds the reference of another grid or of other cases; "" otherwise."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        known, name = [tuple(row[key] for key in NAMED) for row in stored["cases"]], stored["grid"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    if name == grid.name and sorted(known) == sorted(tuple(getattr(case, key) for key in NAMED) for case in grid.cases):
        return ""
    kept = (
        f"{path.parent} holds the reference of grid {name} with {len(known)} cases; the new reference replaces "
        "the old one"
    )
    return f"{kept}. Next: to keep both, name another --output."


def interrupted(options: argparse.Namespace) -> str:
    """Print what an interrupted command leaves, and how to continue."""
    return f"reference: interrupted; {how_to_go_on(options.output / PARTS)}"


def how_to_go_on(parts: Path) -> str:
    """A sentence on what an unfinished run keeps, and how to continue."""
    return f"the finished traces are kept in {parts}; repeat the same command to continue"
