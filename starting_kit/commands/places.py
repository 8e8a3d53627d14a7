"""Where the kit's parts lie."""

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
    """A grid's file, by the grid's name or as a path: ./practice is a file."""
    return GRIDS.get(str(grid), Path(grid))


def kit_command(*words: object) -> str:
    """A command of the kit as it is typed in the top folder, with the Python that runs: what a next step names."""
    return shlex.join([interpreter(), "starting_kit/kit.py", *map(str, words)])


def interpreter() -> str:
    """The Python that runs: the name by which PATH finds it, or else its path, from here when it lies below."""
    # Not resolved: an environment's python is a link to one that lacks its packages.
    path, here = Path(sys.executable), Path.cwd()
    for name in ("python", "python3"):
        if (found := shutil.which(name)) and Path(found).absolute() == path:
            return name
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def short(path: Path) -> Path:
    """The path as seen from here, when it lies below."""
    path, here = path.resolve(), Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
