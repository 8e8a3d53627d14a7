"""Puts the programs' folders on the path, as their entry points do."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / folder) for folder in ("ingestion_program", "scoring_program", "starting_kit", "tools")]
