"""This machine beside the platform's: Python and packages, and what isolates a policy."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from placement.evaluation.grid_run import cores
from placement.isolation.sandbox import REQUIRED_LAYERS

from .imports import imported_names

PYTHON = "3.12"
# What the image codalab/codalab-legacy:py312 has of what a policy may want.
PACKAGES = {
    **{"numpy": "1.26.4", "pandas": "2.2.3", "scipy": "1.11.4", "PyYAML": "6.0.2", "matplotlib": "3.8.4"},
    **{"numba": "0.61.2", "scikit-learn": "1.5.1", "Cython": "3.0.12", "psutil": "7.0.0", "threadpoolctl": "3.6.0"},
}
# Where a module is not called like its package.
MODULES = {"PyYAML": "yaml", "scikit-learn": "sklearn"}
ALWAYS_SHOWN = ("numpy",)


def packages_line(imported: Iterable[str]) -> str:
    """Python and the packages that the policy imports, here and on the platform."""
    wanted = set(imported)
    here = platform.python_version()
    parts = [f"Python {here} (platform {PYTHON})"]
    for package, there in PACKAGES.items():
        if package in ALWAYS_SHOWN or MODULES.get(package, package) in wanted:
            parts.append(f"{package} {_installed(package)} (platform {there})")
    lacking = missing_there(wanted)
    return f"packages: {', '.join(parts)}" + (f"; not on the platform: {', '.join(lacking)}" if lacking else "")


def missing_there(imported: Iterable[str]) -> list[str]:
    """Imported modules that neither Python nor the platform has."""
    present = {MODULES.get(package, package) for package in PACKAGES} | sys.stdlib_module_names | {"placement"}
    return sorted(set(imported) - present)


def imported_modules(files: dict[str, Path]) -> list[str]:
    """Top-level modules that a submission's Python files import from elsewhere; files: paths by name in the zip."""
    submitted = {name.split("/")[0].partition(".")[0] for name in files}
    imported = {module.partition(".")[0] for name, path in files.items() for module in imported_names(name, path)}
    return sorted(imported - submitted)


def machine_line(layers: Sequence[str]) -> str:
    """The machine, and which layers isolate a policy on it."""
    system = f"{platform.system()} {platform.machine()}, {cores()} of {os.cpu_count()} cores"
    line = f"machine: {system}, isolated by {', '.join(layers) or 'nothing'}"
    lacking = [layer for layer in REQUIRED_LAYERS if layer not in layers]
    return line + (
        f"; not by {', '.join(lacking)}, as a worker does: what they refuse shows only there" if lacking else ""
    )


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
