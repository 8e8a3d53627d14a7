"""Scores of the gallery: what the table of starting_kit/README.md states, and what a run prints."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROW = re.compile(r"^\| `((?:policies/)?[\w.]+)` .* ([\d.]+) \|$", re.MULTILINE)
SCORE = re.compile(r"^composite_score: ([\d.]+)$", re.MULTILINE)
# Rows that no test measures.
MEASURED_HERE = ("static", "ds_eplb", "champion")
TABLE = Path("starting_kit") / "README.md"


def stated_scores(folder: Path) -> dict[str, str]:
    """The score of each row by its policy; the template's is `policy.py`. Raises OSError."""
    return dict(ROW.findall((folder / TABLE).read_text(encoding="utf-8")))


def printed_score(command: Sequence[str], folder: Path) -> str | None:
    """The score that a command prints; None, after its output was printed, where it fails or prints none."""
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    found = SCORE.findall(done.stdout)
    if done.returncode or not found:
        print(f"{done.stdout}exit code {done.returncode}", flush=True)
        return None
    return str(found[-1])


def check_gallery(folder: Path, names: Sequence[str] = MEASURED_HERE) -> tuple[str, list[str]]:
    """Run policies of the gallery on the sample grid: their scores, and rows that state another one. Raises OSError."""
    stated = stated_scores(folder)
    found, wrong = [], []
    for name in names:
        row = f"policies/{name}"
        got = printed_score([sys.executable, "starting_kit/kit.py", "run", f"starting_kit/{row}"], folder)
        found.append(f"{name} {got}")
        if got is None or got != stated.get(row):
            wrong.append(f"{TABLE}, the gallery: the row of {name} is {stated.get(row)}, the run's score {got}")
    return ", ".join(found), wrong
