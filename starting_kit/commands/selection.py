"""Some cases of a grid, by name."""

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

FORM = re.compile(r"(?P<trace>[^:\s]+/[^:\s]+)(?:(?:\s*:\s*|\s+)(?:ep\s*)?(?P<ep>\d+)(?:\s*\+(?P<redundant>\d+))?)?")


def read_grid(path: Path) -> Grid:
    """Read a grid file. Raises UsageError when there is none, and OrganizerError."""
    if not path.is_file():
        expected = f"{', '.join(GRIDS)}, or a grid file"
        raise UsageError("there is no such grid", str(path), expected, "correct --grid")
    return grid_from_mapping(read_yaml(path, "grid"))


def select(grid: Grid, names: Sequence[str] | None) -> list[Case]:
    """The cases that are named, in the grid's order, each once; all of them for no names. Raises UsageError."""
    chosen = set()
    for name in names or ():
        form = FORM.fullmatch(name.strip())
        matches = [
            case
            for case in grid.cases
            if form
            and form["trace"] == f"{case.model}/{case.dataset}"
            and form["ep"] in (None, str(case.ep))
            and form["redundant"] in (None, str(case.redundant_experts))
        ]
        if not matches:
            expected = "one of " + ", ".join(map(short_name, grid.cases))
            what, got = f"the grid {grid.name} has no such case", name or "no name"
            raise UsageError(what, got, expected, "correct --case")
        # An ep alone is the case's whole name where its redundant experts are as many.
        named = [case for case in matches if form["ep"] and not form["redundant"] and case.redundant_experts == case.ep]
        chosen.update(named or matches)
    return [case for case in grid.cases if case in chosen or not names]


def short_name(case: Case) -> str:
    """A case as --case takes it: MODEL/DATASET:EP, and +N where it has another number of redundant experts."""
    return ":".join(case.key.rsplit("/", 1))


def grid_of(path: Path, cases: Sequence[Case]) -> dict[str, Any]:
    """The content of a grid file with these of its cases alone."""
    keys = ("model", "dataset", "redundant_experts")
    rows = [{key: getattr(case, key) for key in keys} | {"ep": [case.ep]} for case in cases]
    return {**read_yaml(path, "grid"), "cases": rows}


def write_grid(path: Path, content: dict[str, Any]) -> None:
    """Write a grid file."""
    write_whole(path, yaml.safe_dump(content, sort_keys=False).encode("utf-8"))
