"""Paths of the kit's parts, and commands and paths as a user types them."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

KIT = Path(__file__).resolve().parents[1]
ROOT = KIT.parent
INGESTION, SCORING = ROOT / "ingestion_program", ROOT / "scoring_program"
GRID = INGESTION / "grid.yaml"
TRACES = ROOT / "sample_traces"
REFERENCE = ROOT / "reference_data"
OUTPUT = ROOT / "output"
GRIDS = {
    "sample": GRID,
    "practice": INGESTION / "grid_practice.yaml",
    "official": INGESTION / "grid_official.yaml",
}


def grid_file(grid: str | Path) -> Path:
    """A grid's file, from the grid's name or a path; ./practice is a path."""
    return GRIDS.get(str(grid), Path(grid))


def kit_command(*words: object) -> str:
    """A command of the kit as a user types it in the top folder, with the Python that runs; for next steps."""
    return shlex.join([interpreter(), "starting_kit/kit.py", *map(str, words)])


def interpreter() -> str:
    """The Python that runs: by the name that PATH finds, or else by path, relative when it lies below this folder."""
    # Not resolved: an environment's python is a link to one that lacks its packages.
    path, here = Path(sys.executable), Path.cwd()
    for name in ("python", "python3"):
        if (found := shutil.which(name)) and Path(found).absolute() == path:
            return name
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def short(path: Path) -> Path:
    """The path, relative when it lies below this folder."""
    path, here = path.resolve(), Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
