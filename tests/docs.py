"""The docs as tests see them: their fenced blocks, and a copy of the tree in which their commands run."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = re.compile(r"^\(?(?:make|zip|cd|python|\.venv/bin/python) .*$")


def blocks(document: str) -> list[str]:
    """The fenced blocks of a document, without their fences."""
    text = (ROOT / document).read_text(encoding="utf-8")
    return re.findall(r"^```[a-z]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def copy_tree(folder: Path) -> Path:
    """Copy the tree without what is made in it, and without an organizer's keys."""
    made = (".venv*", ".git", "output", "build", "dist", "keys", "*.egg-info", "__pycache__", ".*_cache")
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*made))
    return folder


def execute(command: str, clone: Path) -> subprocess.CompletedProcess[str]:
    """Run a command of the docs in the copy, with this interpreter in the place of the environment's."""
    command = re.sub(r"(^| )(?:(?:\.\./)?\.venv/bin/)?python ", rf"\1{sys.executable} ", command)
    return subprocess.run(["bash", "-c", command], cwd=clone, capture_output=True, text=True, check=False)
