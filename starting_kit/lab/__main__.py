"""`python -m lab`, in the folder starting_kit: finds the kit's and the programs' packages, runs the command."""

from __future__ import annotations

import sys
from pathlib import Path

# In front, so that no installed package of the same name stands in for one of ours.
ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / name) for name in ("starting_kit", "ingestion_program", "scoring_program")]

from placement.evaluation.interruption import begin, raise_when_interrupted

if __name__ == "__main__":
    # Before the rest is imported, which takes its time.
    begin("lab", "lab: interrupted")

from placement.evaluation.printing import run_program

from .commands.main import main

if __name__ == "__main__":
    raise_when_interrupted()
    run_program(main, "lab")
