"""Where the kit's parts lie."""

from __future__ import annotations

from pathlib import Path

KIT = Path(__file__).resolve().parents[1]
ROOT = KIT.parent
INGESTION, SCORING = ROOT / "ingestion_program", ROOT / "scoring_program"
GRID = INGESTION / "grid.yaml"
TRACES = ROOT / "sample_traces"
REFERENCE = ROOT / "reference_data"
OUTPUT = ROOT / "output"


def short(path: Path) -> Path:
    """The path as seen from here, when it lies below."""
    path, here = path.resolve(), Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
