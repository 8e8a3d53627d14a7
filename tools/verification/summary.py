"""The table of what passed and what failed, as a Markdown page."""

from __future__ import annotations

import datetime
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from commands.places import short
from placement.evaluation.grid_run import cores
from placement.evaluation.versions import versions
from placement.traces.whole_file import write_whole
from scores.table import markdown

from .running import FAIL, INTERRUPTED, NOT_RUN, PASS, SKIPPED, Outcome

HEADINGS = ("step", "result", "figure", "seconds", "log")


def write_summary(path: Path, head: str, outcomes: Sequence[Outcome]) -> str:
    """Write the page and return its text. Raises OSError."""
    rows = [
        (each.name, each.result, each.figure, f"{each.seconds:.0f}", str(short(each.log)) if each.log else "")
        for each in outcomes
    ]
    text = f"{head}\n\n{markdown(HEADINGS, rows)}\n\n{count(outcomes)}\n"
    write_whole(path, text.encode("utf-8"))
    return text


def count(outcomes: Sequence[Outcome]) -> str:
    """How many steps came to which result, and the seconds of all."""
    numbers = Counter(each.result for each in outcomes)
    parts = [f"{numbers[result]} {result}" for result in (PASS, FAIL, SKIPPED, INTERRUPTED, NOT_RUN) if numbers[result]]
    return f"{', '.join(parts)}; {minutes(sum(each.seconds for each in outcomes))}"


def minutes(seconds: float) -> str:
    """Seconds as minutes and seconds."""
    return "{} min {:02} s".format(*divmod(round(seconds), 60))


def head(folder: Path) -> str:
    """When, on which commit and on what the steps run."""
    stated = versions()
    machine = f"{cores()} cores, Python {stated['python']}, numpy {stated['numpy']}"
    return f"{datetime.datetime.now():%Y-%m-%d %H:%M}, commit {commit(folder)}, {machine}"


def commit(folder: Path) -> str:
    """The commit that is checked out, and whether files differ from it."""
    try:
        asked = [["git", "rev-parse", "--short", "HEAD"], ["git", "status", "--porcelain", "--untracked-files=no"]]
        name, changed = (subprocess.run(each, cwd=folder, capture_output=True, text=True).stdout for each in asked)
    except OSError:
        return "unknown"
    return (name.strip() or "unknown") + " with changes" * bool(changed)
