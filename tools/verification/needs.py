"""What a step may need of the machine, and why a machine lacks it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from commands.places import ROOT
from rehearsal import container

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
# Traces of the benchmark, and what else is written.
DISK_BYTES = 4 * 10**9
PYENV = Path.home() / ".pyenv" / "versions"


def no_python() -> str:
    """Why there is no Python 3.12, which the platform has."""
    # As in Makefile: a command of this name may be there and not work.
    found = sys.version_info[:2] == (3, 12) or any(map(works, ["python3.12", *PYENV.glob("3.12.*/bin/python3.12")]))
    return "" if found else "there is no python3.12"


def works(python: str | Path) -> bool:
    """Whether a Python can be started."""
    try:
        return not subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode
    except OSError:
        return False


def no_chromium() -> str:
    """Why no page can be opened."""
    return "" if any(map(shutil.which, BROWSERS)) else "there is no Chromium"


def no_disk() -> str:
    """Why traces of full size cannot be generated."""
    free = shutil.disk_usage(ROOT).free
    return "" if free >= DISK_BYTES else f"the disk has {free / 1e9:.1f} GB free of {DISK_BYTES / 1e9:.0f} GB"


# Each returns the reason, empty where the machine has what is needed.
NEEDS: dict[str, Callable[[], str]] = {
    "container": container.available,
    "python3.12": no_python,
    "chromium": no_chromium,
    "disk": no_disk,
}


def lacking(names: tuple[str, ...]) -> str:
    """The first reason why this machine cannot run a step, without a full stop; empty where it can."""
    return next((reason.rstrip(".") for name in names if (reason := NEEDS[name]())), "")
