"""A trial of the kit inside a built bundle, as a participant's first minutes: its `check`, and one case of its grid."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from bundling.parts import KIT_GRID, Files
from bundling.reader import Bundle, Fault, mapping_of
from commands.selection import short_name
from placement.grid import grid_from_mapping

KIT = "starting_kit/kit.py"
# Far beyond what either takes; a kit that hangs must not hold the organizer for ever.
PATIENCE = 600
LAST_LINES = 3


def trial(bundle: Bundle) -> Iterator[Fault]:
    """Unzip the starting kit of a bundle without faults into a temporary folder, and run it there. Raises OSError."""
    grid = grid_from_mapping(mapping_of(bundle.kit[KIT_GRID]))
    # No loads or plans of it take long.
    case = min(grid.cases, key=lambda case: (case.layers, case.ep, case.slots))
    with TemporaryDirectory(prefix="kit-") as folder:
        write(Path(folder), bundle.kit)
        for words in (["check"], ["run", "--case", short_name(case)]):
            yield from run(Path(folder), words)


def write(folder: Path, files: Files) -> None:
    """Write the files of a zip. Raises OSError."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def run(folder: Path, words: list[str]) -> Iterator[Fault]:
    """One command of the kit in its top folder."""
    command = f"kit.py {' '.join(words)}"
    try:
        # Bytes: what a broken kit prints need not be text.
        done = subprocess.run(
            [sys.executable, "-B", KIT, *words], cwd=folder, capture_output=True, timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        got = f"no end within {PATIENCE} seconds"
        yield fault(command, got)
        return
    if done.returncode:
        lines = (done.stdout + b"\n" + done.stderr).decode("utf-8", "replace").split("\n")
        # The fault's sentence brings a full stop of its own.
        told = " / ".join([line.strip() for line in lines if line.strip()][-LAST_LINES:]).rstrip(".")
        yield fault(command, f"exit code {done.returncode}: {told}")


def fault(command: str, got: str) -> Fault:
    """What is said of a command of the kit that fails."""
    next_step = (
        f"unzip starting_kit.zip of the bundle into an empty folder, and run python starting_kit/{command} there"
    )
    return Fault(
        "starting kit", f"{command} fails", got, "the template is accepted, and a case of the grid runs", next_step
    )
