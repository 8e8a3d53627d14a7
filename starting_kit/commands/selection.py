"""Selects some cases of a grid by name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from placement.grid import Case, Grid, grid_from_mapping
from placement.traces.whole_file import write_whole
from placement.traces.yaml_file import read_yaml

from .options import UsageError
from .places import GRIDS

# What may stand behind MODEL/DATASET, in which anything but a slash may stand.
SIZES = re.compile(r"(?:(?:\s*:\s*|\s+)(?:ep\s*)?(?P<ep>\d+)(?:\s*\+(?P<redundant>\d+))?)?\s*")
# starting_kit/README.md describes grid files.
OTHER_SIZES = "; for other sizes, name your own grid file with --grid: its cases state ep and redundant_experts"
OTHER_SIZES += " (starting_kit/README.md, --grid); kit.py sweep writes such grid files into output/sweep/grids"


def read_grid(path: Path) -> Grid:
    """Read a grid file. Raises UsageError when the file is missing, and OrganizerError."""
    if not path.is_file():
        expected = f"{', '.join(GRIDS)}, or a grid file"
        raise UsageError("the grid file is missing", str(path), expected, "correct --grid")
    return grid_from_mapping(read_yaml(path, "grid"))


def select(grid: Grid, names: Sequence[str] | None) -> list[Case]:
    """The named cases, each once, in the grid's order; all cases for no names. Raises UsageError."""
    chosen = set()
    for name in names or ():
        matches = _matches(grid.cases, name)
        if not matches:
            expected = "one of " + ", ".join(map(short_name, grid.cases))
            what, got = f"the grid {grid.name} has no such case", name or "no name"
            raise UsageError(what, got, expected, "correct --case" + OTHER_SIZES * _names_sizes(grid.cases, name))
        chosen.update(matches)
    return [case for case in grid.cases if case in chosen or not names]


def _names_sizes(cases: Sequence[Case], name: str) -> bool:
    """Whether a name consists of a trace of the grid and an ep."""
    traces = [trace for case in cases if name.startswith(trace := f"{case.model}/{case.dataset}")]
    sizes = [SIZES.fullmatch(name.removeprefix(trace)) for trace in traces]
    return any(match and match["ep"] for match in sizes)


def _matches(cases: Sequence[Case], name: str) -> list[Case]:
    """The cases that a name stands for: the case of that full name, or the cases of the longest dataset name that
    fits.
    """
    if whole := [case for case in cases if {name, name.strip()} & {case.name, short_name(case)}]:
        return whole
    traces = {f"{case.model}/{case.dataset}" for case in cases}
    for trace in sorted(traces, key=len, reverse=True):
        sizes = SIZES.fullmatch(name.lstrip().removeprefix(trace)) if name.lstrip().startswith(trace) else None
        matches = [
            case
            for case in cases
            if sizes
            and trace == f"{case.model}/{case.dataset}"
            and sizes["ep"] in (None, str(case.ep))
            and sizes["redundant"] in (None, str(case.redundant_experts))
        ]
        if matches:
            # An ep alone is the case's whole name where its redundant experts are as many.
            alone = sizes["ep"] and not sizes["redundant"]
            return [case for case in matches if alone and case.redundant_experts == case.ep] or matches
    return []


def short_name(case: Case) -> str:
    """A case's name as --case takes it: MODEL/DATASET:EP, with +N where the redundant experts are not EP."""
    return ":".join(case.key.rsplit("/", 1))


def grid_of(path: Path, cases: Sequence[Case]) -> dict[str, Any]:
    """The content of a grid file, with only these of its cases."""
    keys = ("model", "dataset", "redundant_experts")
    rows = [{key: getattr(case, key) for key in keys} | {"ep": [case.ep]} for case in cases]
    return {**read_yaml(path, "grid"), "cases": rows}


def write_grid(path: Path, content: dict[str, Any]) -> None:
    """Write a grid file."""
    write_whole(path, yaml.safe_dump(content, sort_keys=False).encode("utf-8"))
