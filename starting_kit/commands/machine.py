"""This machine beside the platform: Python and packages, and the layers that isolate a policy."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from placement.evaluation.grid_run import cores
from placement.grid import Grid
from placement.isolation.missing_module import REQUIREMENTS
from placement.isolation.sandbox import REQUIRED_LAYERS

from .image import ANY, PACKAGES, PYTHON, Package
from .imports import imported_names
from .options import UsageError
from .places import GRIDS, short

ALWAYS_SHOWN = "numpy"
SYSTEM = sys.platform


def packages_line(imported: Iterable[str]) -> str:
    """Python and the policy's packages, with the versions here and on the platform."""
    wanted = set(imported)
    here = platform.python_version()
    parts = [f"Python {here} (platform {PYTHON})"]
    for package in PACKAGES:
        if wanted & {*package.modules} or package.name == ALWAYS_SHOWN:
            parts.append(_beside(package))
    lacking = missing_there(wanted)
    return f"packages: {', '.join(parts)}" + (f"; not on the platform: {', '.join(lacking)}" if lacking else "")


def missing_there(imported: Iterable[str]) -> list[str]:
    """Imported modules that are neither part of Python nor of the platform's image."""
    present = {module for package in PACKAGES for module in package.modules} | sys.stdlib_module_names | {"placement"}
    return sorted(set(imported) - present)


def imported_modules(files: dict[str, Path]) -> list[str]:
    """Top-level modules that a submission's Python files import from elsewhere; files: paths by name in the zip."""
    submitted = {name.split("/")[0].partition(".")[0] for name in files}
    imported = {module.partition(".")[0] for name, path in files.items() for module in imported_names(name, path)}
    return sorted(imported - submitted)


def machine_line(layers: Sequence[str]) -> str:
    """The machine, and the layers that isolate a policy on it."""
    system = f"{platform.system()} {platform.machine()}, {cores()} of {os.cpu_count()} cores"
    line = f"machine: {system}, isolated by {', '.join(layers) or 'nothing'}"
    lacking = [layer for layer in REQUIRED_LAYERS if layer not in layers]
    return line + (
        f"; not isolated by {', '.join(lacking)} as on the platform: a policy that these would stop runs here"
        if lacking
        else ""
    )


def check_isolation(grid: Grid, path: Path) -> None:
    """Raise UsageError on a system that lacks the isolation that a grid requires. grid: read from `path`."""
    if grid.sandbox != "required" or SYSTEM == "linux":
        return
    copy = "grid_best_effort.yaml"
    step = f"sed 's/^sandbox: required/sandbox: best_effort/' {short(path)} > {copy}, then --grid {copy}"
    if path == GRIDS["official"]:
        step += "; run also needs --traces output/official/traces --reference output/official/reference"
    raise UsageError(
        f"the grid {grid.name} requires isolation that only Linux has",
        f"sandbox: required, on {'macOS' if SYSTEM == 'darwin' else SYSTEM}",
        "sandbox: best_effort (the scores stay the same)",
        step,
    )


def _beside(package: Package) -> str:
    """The versions of a package here and on the platform."""
    there = "platform" if package.version == ANY else f"platform {package.version}"
    if installed := package.installed():
        return f"{package.name} {installed} ({there})"
    install = f".venv/bin/python -m pip install {REQUIREMENTS[package.modules[0]]}"
    return f"{package.name} not installed ({there}: {install})"
