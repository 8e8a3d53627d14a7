"""How well the sample and the practice grid rank policies: their scores beside the official grid's."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from commands.frame import RunFailed
from commands.places import GRIDS, OUTPUT, SCORING, TRACES
from commands.run import run
from commands.seeds import Draws, World, announce, folder_of, make_world, recipes
from commands.selection import read_grid, write_grid
from commands.worlds import LIKE_OFFICIAL, official_estimate, world_of
from placement.submission.receipt import file_sha256, policy_sha256, simulator_sha256
from placement.traces.whole_file import write_whole
from placement.traces.yaml_file import read_yaml
from scores.table import markdown

KEPT = OUTPUT / "ranking"
# Limits change no score, and a busy machine must not end a run.
PATIENCE = 20
GRID_NAMES = ("sample", "practice", "official")
Show = Callable[[str], None]


class Entry(NamedTuple):
    """What is scored: a policy, by its name and folder, on a grid, by its name and where it lies."""

    policy: str
    folder: Path
    grid: str
    world: World


def worlds(practice_seed: int, official_seed: int, jobs: int, show: Show) -> dict[str, World]:
    """The three grids with their traces and references, made where they are missing.

    The official grid's traces are generated from seeds that the practice grid's were not. Raises UsageError.
    """
    grid = read_grid(GRIDS["official"])
    drawn = recipes(grid, grid.cases, TRACES, None)
    draws = Draws(folder_of(KEPT, GRIDS["official"], grid.cases, drawn), GRIDS["official"], grid.cases, drawn)
    announce(draws, [official_seed], show)
    return {
        "sample": world_of("sample"),
        "practice": world_of("practice", seed=practice_seed, jobs=jobs, show=show),
        "official": make_world(draws, official_seed, jobs, show, show),
    }


def score_all(policies: dict[str, Path], places: dict[str, World], jobs: int, show: Show) -> pd.DataFrame:
    """A row for each policy, a column for each grid; what was scored before is not run again. Raises RunFailed."""
    rows = {}
    for name, folder in policies.items():
        entries = [Entry(name, folder, grid, world) for grid, world in places.items()]
        rows[name] = {entry.grid: _kept_score(entry, jobs, show) for entry in entries}
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(places))


def spearman(scores: pd.DataFrame, first: str, second: str) -> float:
    """Spearman's rank correlation of two columns; ties share their mean rank."""
    return float(scores[[first, second]].rank().corr().iloc[0, 1])


def table(scores: pd.DataFrame) -> str:
    """Markdown, the best on the official grid first."""
    rows = scores.sort_values("official", ascending=False)
    titles = ("policy", "sample, composite_score", "practice, official_estimate", "official, composite_score")
    return markdown(titles, rows.itertuples(), ".1f")


def _kept_score(entry: Entry, jobs: int, show: Show) -> float:
    kept = KEPT / "scores" / f"{_identity(entry)}.json"
    score = _read_kept(kept)
    if score is None:
        score = _score(entry, jobs, show)
        content = {"policy": entry.policy, "grid": entry.grid, "score": score}
        write_whole(kept, json.dumps(content).encode("utf-8"))
    return score


def _score(entry: Entry, jobs: int, show: Show) -> float:
    name, folder, grid, world = entry
    patient = read_yaml(world.grid, "grid")
    patient["limits"] = {key: value * (PATIENCE if "seconds" in key else 1) for key, value in patient["limits"].items()}
    write_grid(KEPT / f"{grid}.yaml", patient)
    try:
        frame = run(folder, KEPT / f"{grid}.yaml", world.traces, world.reference, jobs=jobs)
    except RunFailed as error:
        raise RunFailed(f"{name} on the {grid} grid: {error}", error.rows, error.status) from None
    score = official_estimate(frame) if grid == "practice" else frame.attrs["composite_score"]
    seconds, slowest = frame["policy_seconds"].sum(), frame["slowest_call_seconds"].max()
    show(f"{name}, {grid}: {score:.2f}, {seconds:.0f} s of policy, a call at most {slowest:.1f} s")
    return score


def _identity(entry: Entry) -> str:
    """All that a score depends on, as a file's name; the reference names the traces by their hashes."""
    files = [file_sha256(path) for path in (entry.world.grid, entry.world.reference / "ds_eplb.json")]
    programs = [simulator_sha256(), simulator_sha256(SCORING / "scores"), np.__version__]
    content = [policy_sha256(entry.folder), files, programs]
    if entry.grid == "practice":
        content.append([LIKE_OFFICIAL, inspect.getsource(official_estimate)])
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def _read_kept(path: Path) -> float | None:
    """What an earlier run kept, or None: a file that is damaged is as good as none."""
    try:
        return float(json.loads(path.read_bytes())["score"])
    except (OSError, ValueError, TypeError, KeyError):
        return None
