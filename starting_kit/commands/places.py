"""Where the kit's parts lie; importing this makes the programs' and the tools' modules importable."""

from __future__ import annotations

import sys
from pathlib import Path

KIT = Path(__file__).resolve().parents[1]
ROOT = KIT.parent
INGESTION, SCORING, TOOLS = (ROOT / name for name in ("ingestion_program", "scoring_program", "tools"))
GRID = INGESTION / "grid.yaml"
TRACES = ROOT / "sample_traces"
REFERENCE = ROOT / "reference_data"
OUTPUT = ROOT / "output"

for folder in (INGESTION, SCORING, TOOLS):
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def short(path: Path) -> Path:
    """The path as seen from here, when it lies below."""
    path, here = path.resolve(), Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
