"""The world of a grid: file, traces and reference. The practice grid's traces are drawn, the official grid's not."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from placement import SIMULATOR_VERSION
from placement.errors import OrganizerError
from placement.grid import Case, Grid
from placement.results import identity
from placement.traces.files import find_trace
from scores.comparison import case_name, match, read_reference
from scores.problems import FileError
from traces.generation.profile import FOLDER
from traces.manifest import read_manifest

from .generate import SAMPLE_DATASET
from .named_paths import check_no_file
from .options import PRACTICE_SEED, UsageError
from .own_traces import measure_once, own_world, tell_grid
from .places import GRID, GRIDS, OUTPUT, REFERENCE, TRACES, grid_file, kit_command, short
from .seeds import Draws, World, announce, folder_of, make_world, recipes
from .selection import read_grid

if TYPE_CHECKING:
    import pandas as pd

# How many cases of the official grid behave like those of each trace: stationary DS-R1, Mix, and Qwen3.
LIKE_OFFICIAL = {"DS-R1/LmSys": 12, "DS-R1/Mix": 4, "Qwen3/LmSys": 9}
ESTIMATE = "official_estimate"


def grid_for(grid: str | Path | None, traces: str | Path | None) -> Path:
    """The file of the named grid; for None the sample grid's, or the file made for the named traces.

    Raises UsageError, and OrganizerError for a malformed manifest.
    """
    if grid is not None:
        return grid_file(grid)
    return GRID if traces is None else own_world(Path(traces)).grid


def world_of(
    grid: str | Path | None,
    traces: str | Path | None = None,
    reference: str | Path | None = None,
    seed: int | None = None,
    jobs: int = 1,
    show: Callable[[str], None] = print,
) -> World:
    """A grid's file, traces and reference. A named folder is used; the other folders are the grid's.

    For traces without a grid (None) a grid is made, and the reference is measured at first use. The practice grid's
    traces are drawn from the seed and measured at first use. Raises UsageError, also for the official grid without its
    traces, and for a seed with traces that are not drawn.
    """
    file = grid_for(grid, traces)
    drawn = file == GRIDS["practice"] and traces is None
    if seed is not None and not drawn:
        what = "--seed is for the practice grid, whose traces are drawn from the seed"
        got = f"--seed {seed} with " + (
            f"--traces {traces}" if file == GRIDS["practice"] else f"the grid {short(file)}"
        )
        raise UsageError(what, got, "--grid practice without --traces", "leave --seed out")
    own = grid is None and traces is not None
    check_named(traces, reference, made=drawn or own)
    if own:
        made = own_world(Path(traces))
        check_traces(made, read_grid(file).cases)
        tell_grid(made, show)
        if reference is None:
            measure_once(made, jobs, show)
        return World(file, made.traces, Path(reference or made.reference))
    if drawn:
        made = _practice(PRACTICE_SEED if seed is None else seed, jobs, show)
        return World(file, made.traces, Path(reference or made.reference))
    if file == GRIDS["official"] and traces is None:
        traces, reference = _official(), Path(reference or OUTPUT / "official" / "reference")
    return World(file, Path(traces or TRACES), Path(reference or REFERENCE))


def check_named(traces: str | Path | None, reference: str | Path | None, made: bool) -> None:
    """Raise UsageError for a file in the place of a folder, and for a missing reference where `made` does not make
    one.
    """
    check_no_file("--traces", traces and Path(traces), "traces")
    check_no_file("--reference", reference and Path(reference), "ds_eplb.json")
    if made and reference and not (Path(reference) / "ds_eplb.json").is_file():
        got, expected = f"no {Path(reference) / 'ds_eplb.json'}", "the file that kit.py reference writes"
        next_step = "correct --reference, or leave it out: the reference is then measured"
        raise UsageError("the reference is missing", got, expected, next_step)


def check_traces(world: World, cases: Sequence[Case]) -> None:
    """Raise UsageError unless each case has a trace. Checked here because the programs' messages are for organizers."""
    for case in cases:
        try:
            find_trace(world.traces, case.model, case.dataset)
        except OrganizerError as error:
            name = f"{case.model}/{case.dataset}"
            next_step = "name the folder of the grid's traces with --traces"
            sample = case.dataset == SAMPLE_DATASET
            if sample or (FOLDER / f"{name}.yaml").is_file():
                profile = () if sample else ("--profile", name)
                next_step += (
                    f", or make the trace: {kit_command('generate', '--output', short(world.traces), *profile)}"
                )
            raise UsageError(error.what, error.got, error.expected, next_step, *error.where) from None


def check_reference(world: World, grid: Grid, cases: Sequence[Case], default: bool = False) -> None:
    """Raise UsageError unless the reference can be read and belongs to the grid's cases and the manifest's traces.

    default: whether the command would take another reference without --reference.
    """
    entries, what = read_manifest(world.traces)["traces"], ""
    try:
        stored = read_reference(world.reference / "ds_eplb.json")
        # Another trace than the manifest's, or one that it does not list, is for the ingestion program to find.
        what = "the grid and its traces do not fit: "
        rows = {case_name(row): row for row in stored["cases"]}
        if len(cases) < len(grid.cases):
            names = [case.name for case in cases]
            stored = stored | {"cases": [row for name, row in rows.items() if name in names]}
        match({"versions": {"simulator": SIMULATOR_VERSION}, "cases": _expected(grid, cases, entries, rows)}, stored)
    except FileError as error:
        folder = world.reference if not world.reference.exists() else OUTPUT / "reference"
        named = next((name for name, file in GRIDS.items() if file == world.grid), short(world.grid))
        paths = ("--grid", named, "--traces", short(world.traces), "--output", short(folder))
        next_step = kit_command("reference", *paths)
        if folder != world.reference:
            next_step += f", then use --reference {short(folder)}"
        if default:
            next_step += ", or leave --reference out"
        fields, where = error.fields, str(short(world.reference) / "ds_eplb.json")
        raise UsageError(what + fields["what"], fields["got"], fields["expected"], next_step, where) from None


def _expected(
    grid: Grid, cases: Sequence[Case], entries: dict[str, Any], rows: dict[str, dict[str, Any]]
) -> list[dict[str, Any]]:
    """The fields that the results would have for each case; entries: the manifest's; rows: the reference's, by case."""
    expected = []
    for case in cases:
        unlisted = rows.get(case.name, {}).get("trace_sha256")
        digits = entries.get(f"{case.model}/{case.dataset}", {}).get("sha256", unlisted)
        expected.append(identity(case, grid.cost, digits) | {"status": "ok"})
    return expected


def official_estimate(frame: pd.DataFrame) -> float:
    """An estimate of the official grid's composite score from the practice grid's case scores.

    The mean over each trace's cases, weighted by the number of official cases that are like the trace: without weights,
    Mix would count twice as much as in the official grid.
    """
    names = frame["model"] + "/" + frame["dataset"]
    means = {name: math.fsum(scores) / len(scores) for name, scores in frame["case_score"].groupby(names)}
    return round(
        math.fsum(LIKE_OFFICIAL[name] * mean for name, mean in means.items()) / sum(LIKE_OFFICIAL.values()), 10
    )


def _practice(seed: int, jobs: int, show: Callable[[str], None]) -> World:
    file = GRIDS["practice"]
    grid = read_grid(file)
    drawn = recipes(grid, grid.cases, TRACES, None)
    draws = Draws(folder_of(OUTPUT / "practice", file, grid.cases, drawn), file, grid.cases, drawn)
    announce(draws, [seed], show)
    return make_world(draws, seed, jobs, show, drawn=show)


def _official() -> Path:
    traces = OUTPUT / "official" / "traces"
    if not (traces / "manifest.yaml").is_file():
        names = dict.fromkeys(f"{case.model}/{case.dataset}" for case in read_grid(GRIDS["official"]).cases)
        here = short(traces.parent)
        generate = kit_command("generate", "--output", f"{here}/traces", "--profile", *names)
        measure = kit_command("reference", "--grid", "official", "--output", f"{here}/reference")
        raise UsageError(
            "the official grid's traces are not here; the organizers keep the recorded ones",
            f"no {short(traces)}",
            "generated traces of that size (2.2 GB), or your own with --traces and --reference",
            f"{generate}, then {measure}",
        )
    return traces
