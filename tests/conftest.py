"""Puts the folders of all packages on the path, as the entry points do."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("ingestion_program", "scoring_program", "starting_kit", "tools", "tests/attacks")
sys.path[:0] = [str(ROOT / folder) for folder in FOLDERS]
