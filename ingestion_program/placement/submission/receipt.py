"""The receipt: which simulator measured which policy on which grid. Equal inputs give an equal receipt on any
machine.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

from .. import SIMULATOR_VERSION
from ..grid import Grid
from .contents import submission_files

PACKAGE = Path(__file__).resolve().parents[1]
# Hexadecimal digits of a hash that are shown: enough to tell runs apart, short enough to compare by eye.
DIGITS = 12
BLOCK = 1024**2


def receipt(policy: Path, grid: Grid) -> dict[str, str]:
    """The receipt of a run; policy: the folder that holds policy.py."""
    return {
        "kit": SIMULATOR_VERSION,
        "simulator_sha256": simulator_sha256(),
        "policy_sha256": policy_sha256(policy),
        "grid": grid.name,
        "grid_sha256": grid_sha256(grid),
    }


def receipt_line(entries: dict[str, str]) -> str:
    """The receipt as a line of the log."""
    return (
        f"receipt: kit {entries['kit']}, simulator {entries['simulator_sha256']}, policy {entries['policy_sha256']}, "
        f"grid {entries['grid']} {entries['grid_sha256']}"
    )


def simulator_sha256(package: Path = PACKAGE) -> str:
    """DIGITS of the sha256 over the package's modules in order of path: path, newline, content with LF line ends."""
    digest = hashlib.sha256()
    modules = {path.relative_to(package).as_posix(): path for path in package.rglob("*.py")}
    for name, path in sorted(modules.items()):
        if any(part.startswith(".") for part in name.split("/")):
            continue
        # A checkout on Windows has CRLF.
        digest.update(name.encode() + b"\n" + path.read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest()[:DIGITS]


def policy_sha256(folder: Path) -> str:
    """DIGITS of the sha256 over a submission's files (contents.py), in order: name, newline, content's sha256.

    In a name a backslash and a newline stand as \\\\ and \\n, so that no two submissions give the same bytes.
    folder: holds policy.py and was accepted by find_policy. Of a stage (stage.py) these are all files. Raises
    SubmissionRefused as submission_files does, and OSError.
    """
    digest = hashlib.sha256()
    for name, path in submission_files(folder)[0].items():
        name = name.replace("\\", "\\\\").replace("\n", "\\n")
        digest.update(f"{name}\n{file_sha256(path)}".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:DIGITS]


def grid_sha256(grid: Grid) -> str:
    """DIGITS of the sha256 of what a grid measures, as JSON with sorted keys and no spaces; limits are not part."""
    content = {
        "cases": [asdict(case) for case in grid.cases],
        "window": grid.window,
        "latency": grid.latency,
        "cost": asdict(grid.cost),
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:DIGITS]


def file_sha256(path: Path) -> str:
    """The sha256 of a file's bytes, hexadecimal. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()
