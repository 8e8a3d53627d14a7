"""How well the sample and the practice grid rank policies: their scores beside the official grid's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from commands.frame import RunFailed
from commands.places import GRIDS, OUTPUT, TRACES
from commands.seeds import Draws, World, announce, folder_of, make_world, recipes
from commands.selection import read_grid, write_grid
from commands.units import run_kept
from commands.worlds import official_estimate, world_of
from placement.traces.yaml_file import read_yaml
from scores.table import markdown

# Where the grids and the official traces are kept; and what was measured, the board's too.
KEPT, UNITS = OUTPUT / "ranking", OUTPUT / "units"
# Limits change no score, and a busy machine must not end a run.
PATIENCE = 20
Show = Callable[[str], None]


def worlds(practice_seed: int, official_seed: int, jobs: int, show: Show) -> dict[str, World]:
    """The three grids with their traces and references, made where they are missing.

    The official grid's traces are generated from seeds that the practice grid's were not. Raises UsageError.
    """
    grid = read_grid(GRIDS["official"])
    drawn = recipes(grid, grid.cases, TRACES, None)
    draws = Draws(folder_of(KEPT, GRIDS["official"], grid.cases, drawn), GRIDS["official"], grid.cases, drawn)
    announce(draws, [official_seed], show)
    made = {
        "sample": world_of("sample"),
        "practice": world_of("practice", seed=practice_seed, jobs=jobs, show=show),
        "official": make_world(draws, official_seed, jobs, show, show),
    }
    for name, world in made.items():
        write_grid(KEPT / f"{name}.yaml", patient(read_yaml(world.grid, "grid")))
    return {name: replace(world, grid=KEPT / f"{name}.yaml") for name, world in made.items()}


def score_all(policies: dict[str, Path], places: dict[str, World], jobs: int, show: Show) -> pd.DataFrame:
    """A row for each policy, a column for each grid; what was run before is not run again. Raises RunFailed."""
    rows = {
        name: {grid: _score(name, folder, grid, world, jobs, show) for grid, world in places.items()}
        for name, folder in policies.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(places))


def spearman(scores: pd.DataFrame, first: str, second: str) -> float:
    """Spearman's rank correlation of two columns; ties share their mean rank."""
    return float(scores[[first, second]].rank().corr().iloc[0, 1])


def table(scores: pd.DataFrame) -> str:
    """Markdown, the best on the official grid first."""
    rows = scores.sort_values("official", ascending=False)
    titles = ("policy", "sample, composite_score", "practice, official_estimate", "official, composite_score")
    return markdown(titles, rows.itertuples(), ".1f")


def patient(grid: Mapping[str, Any]) -> dict[str, Any]:
    """A grid file's content with limits that end no run: they change no score, and the machine may be busy."""
    limits = {key: value * (PATIENCE if "seconds" in key else 1) for key, value in grid["limits"].items()}
    return {**grid, "limits": limits}


def _score(name: str, folder: Path, grid: str, world: World, jobs: int, show: Show) -> float:
    try:
        frame = run_kept(folder, world, UNITS, jobs)
    except RunFailed as error:
        raise RunFailed(f"{name} on the {grid} grid: {error}", error.rows, error.status) from None
    score = official_estimate(frame) if grid == "practice" else frame.attrs["composite_score"]
    seconds, slowest = frame["policy_seconds"].sum(), frame["slowest_call_seconds"].max()
    show(f"{name}, {grid}: {score:.2f}, {seconds:.0f} s of policy, a call at most {slowest:.1f} s")
    return score
