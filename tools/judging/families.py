"""The families of traces that the board measures on, trace by trace: how each is drawn, and the grid of its cases."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from commands.composed import ComposedTrace, composed_trace
from commands.generate import NewTrace
from commands.options import UsageError
from commands.places import GRIDS, KIT, TRACES
from commands.seeds import MOST_TRACES, recipes
from commands.selection import grid_of, read_grid
from placement.grid import Grid, grid_from_mapping
from placement.submission.receipt import file_sha256, simulator_sha256
from traces.composition.stream import Composition

from .ranking import patient

# The grid of each family. `official` and `sample` are drawn from profiles; `requests` are composed of recorded ones.
FAMILIES = {
    "official": GRIDS["official"],
    "sample": GRIDS["sample"],
    "independent": GRIDS["official"],
    "requests": KIT / "traces" / "composition" / "grid_gptoss20b.yaml",
}
TOPICS = KIT / "traces" / "composition" / "topics_gptoss20b.yaml"
STREAMS = {
    "stationary": Composition("stationary"),
    "drifting": Composition("drifting"),
    **{f"switching-{n}": Composition("switching", (n, n)) for n in (800, 1100, 1500, 2300)},
    "switching-random": Composition("switching", (700, 2200)),
}
SOURCES = ("generation", "composition")


@dataclass(frozen=True)
class BoardTrace:
    """A trace of a family and a seed: what draws it, its shape, and the content of a grid file with its cases."""

    family: str
    seed: int
    new: NewTrace | ComposedTrace
    shape: tuple[int, int, int]
    grid_file: dict[str, Any]

    @property
    def name(self) -> str:
        return self.new.name

    @property
    def bytes(self) -> int:
        return int(np.prod(self.shape)) * np.dtype(np.int32).itemsize

    @property
    def grid(self) -> Grid:
        return grid_from_mapping(self.grid_file)

    def made_of(self) -> dict[str, Any]:
        """All that the trace, and DS-EPLB's results on it, depend on."""
        grid = self.grid
        return {
            "unit": "DS-EPLB and the yardsticks on a trace",
            "origin": self.new.origin(),
            "shape": list(self.shape),
            **{name: simulator_sha256(KIT / "traces" / name) for name in SOURCES},
            "reference.py": file_sha256(KIT / "traces" / "reference.py"),
            "simulator": simulator_sha256(),
            "numpy": np.__version__,
            "cost": asdict(grid.cost),
            "cases": [asdict(case) for case in grid.cases],
        }


def traces_of(family: str, seeds: Sequence[int], requests: Path | None = None) -> list[BoardTrace]:
    """The traces of a family, seed by seed in the grid's order; each is drawn from 1000 * seed + its number.

    requests: recorded requests, which the family `requests` needs. Raises UsageError and OrganizerError.
    """
    file = FAMILIES[family]
    if family == "requests":
        if requests is None:
            what, expected = "the family requests is composed of recorded requests", "--requests FILE"
            raise UsageError(what, "no file", expected, "name the .npz, or leave the family out")
        return composed_traces(requests, seeds, file)
    grid = read_grid(file)
    traces = []
    for seed in seeds:
        for recipe in recipes(grid, grid.cases, TRACES, None):
            shape = (recipe.iterations, recipe.layers, recipe.experts)
            profile = replace(recipe.profile, model=recipe.model, layers=recipe.layers, experts=recipe.experts)
            number = MOST_TRACES * seed + recipe.number
            kind = "independent" if family == "independent" else "profiles"
            new = NewTrace(profile, recipe.dataset, recipe.iterations, number, family=kind)
            cases = [case for case in grid.cases if f"{case.model}/{case.dataset}" == recipe.name]
            traces.append(BoardTrace(family, seed, new, shape, patient(grid_of(file, cases))))
    return traces


def composed_traces(
    requests: Path,
    seeds: Sequence[int],
    grid: Path,
    topics: Path = TOPICS,
    streams: Sequence[str] = tuple(STREAMS),
    iterations: int | None = None,
) -> list[BoardTrace]:
    """The streams of recorded requests, seed by seed, each with the cases of the grid file's first trace.

    A stream is drawn from 1000 * seed + its number in STREAMS, whichever are asked for; in STREAMS' order. Raises
    OrganizerError and UsageError.
    """
    cases = read_grid(grid).by_trace()[0]
    model = cases[0].model
    options = dict.fromkeys(("licence", *asdict(Composition())))
    options |= {"requests": requests, "model": model, "dataset": "any", "topics": topics, "seed": 0}
    first = composed_trace(argparse.Namespace(**options, iterations=iterations))
    shape = (first.iterations, cases[0].layers, cases[0].experts)
    traces = []
    for seed in seeds:
        for number, (dataset, plan) in enumerate(STREAMS.items()):
            if dataset in streams:
                new = first._replace(name=f"{model}/{dataset}", plan=plan, seed=MOST_TRACES * seed + number)
                content = grid_of(grid, [replace(case, dataset=dataset) for case in cases])
                traces.append(BoardTrace("requests", seed, new, shape, patient(content)))
    return traces
