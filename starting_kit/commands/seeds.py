"""Traces of a grid's shape drawn from seeds, with DS-EPLB's results on them; made once and kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from placement import SIMULATOR_VERSION
from placement.grid import Case, Grid
from placement.submission.receipt import simulator_sha256
from placement.traces.files import manifest_beside
from traces.generation.generator import generate
from traces.generation.profile import FOLDER, Profile
from traces.manifest import entry_of, read_manifest, write_manifest
from traces.trace_file import write_trace

from .generate import LICENCE, SAMPLES, NewTrace, find_profile
from .options import UsageError
from .places import KIT, short
from .program import run_quiet
from .selection import grid_of, write_grid

# Far from the seeds of the sample traces, which policies are written on.
FIRST_SEED = 1001
LEAST_EXPERTS_PER_CHOICE = 4
# Traces of a seed; the seeds that they are drawn from lie as far apart.
MOST_TRACES = 1000
GENERATION = KIT / "traces" / "generation"
MB = 10**6


@dataclass(frozen=True)
class World:
    """The file of a grid, and the folders of its traces and of its reference."""

    grid: Path
    traces: Path
    reference: Path


@dataclass(frozen=True)
class Recipe:
    """How a trace is drawn, apart from the seed; number: index of the trace in the grid, from 0."""

    model: str
    dataset: str
    layers: int
    experts: int
    iterations: int
    profile: Profile
    number: int

    @property
    def name(self) -> str:
        """The trace's name, `<model>/<dataset>`."""
        return f"{self.model}/{self.dataset}"


@dataclass(frozen=True)
class Draws:
    """What all seeds share: the folder that keeps the draws, the grid's file, the cases, and the recipes of the
    traces.
    """

    kept: Path
    grid: Path
    cases: Sequence[Case]
    recipes: Sequence[Recipe]


def recipes(grid: Grid, cases: Sequence[Case], traces: Path, iterations: int | None) -> list[Recipe]:
    """One recipe for each trace of the cases.

    The profile is the shipped one of the trace's name, otherwise that of the model's sample trace, or else the first.
    iterations: None for the length of the trace in `traces`, or of the profile. Raises UsageError, and OrganizerError
    for a manifest that cannot be read.
    """
    manifest = manifest_beside(traces, []) or {}
    samples = {name.split("/")[0]: name for name in reversed(SAMPLES)}
    names = list(dict.fromkeys(f"{case.model}/{case.dataset}" for case in grid.cases))
    by_name: dict[str, Recipe] = {}
    for case in cases:
        name = f"{case.model}/{case.dataset}"
        shipped = (FOLDER / f"{name}.yaml").is_file()
        profile = find_profile(name if shipped else samples.get(case.model, next(iter(SAMPLES))))
        # Where a token chooses most experts, all are loaded alike, and nothing is left to balance.
        most = max(1, case.experts // LEAST_EXPERTS_PER_CHOICE)
        profile = profile.with_parameters(top_k=min(profile.parameters.top_k, most))
        shape = (manifest.get("traces") or {}).get(name, {}).get("shape", [profile.iterations])
        length = iterations or shape[0]
        if length < case.window + 2:
            expected = f"at least window + 2 = {case.window + 2}"
            raise UsageError("the traces are too short", str(length), expected, "correct --iterations")
        by_name[name] = Recipe(case.model, case.dataset, case.layers, case.experts, length, profile, names.index(name))
    return list(by_name.values())


def folder_of(output: Path, grid: Path, cases: Sequence[Case], drawn: Sequence[Recipe]) -> Path:
    """The folder that keeps the seeds of a grid; its name changes with everything that would change a value."""
    parameters = [asdict(replace(recipe, profile=recipe.profile.parameters)) for recipe in drawn]
    sources = [*GENERATION.glob("*.py"), *(FOLDER / f"{recipe.profile.name}.yaml" for recipe in drawn)]
    # A checkout on Windows has CRLF.
    texts = sorted({path.as_posix(): path.read_bytes().replace(b"\r\n", b"\n") for path in sources}.items())
    hashes = [hashlib.sha256(text).hexdigest() for _, text in texts]
    content = [grid_of(grid, cases), parameters, np.__version__, SIMULATOR_VERSION, simulator_sha256(), hashes]
    digits = hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:12]
    return output / f"{content[0]['name']}-{digits}"


def announce(draws: Draws, seeds: Sequence[int], show: Callable[[str], None]) -> None:
    """Say how many traces are here and how many will be drawn, with their size; say nothing where all exist."""
    missing = [world for seed in seeds if not _is_made(world := _world(draws.kept, seed))]
    if not missing:
        return
    left = [recipe for world in missing for recipe in _not_drawn(draws, world)]
    count = len(draws.recipes) * len(missing)
    size = sum(recipe.iterations * recipe.layers * recipe.experts for recipe in left) * np.dtype(np.int32).itemsize / MB
    here = f"{count - len(left)} of {count} traces are here; " if len(left) < count else ""
    draw = f"draws {len(left)} traces, {size:.1f} MB, into {short(draws.kept)}"
    show(here + (draw if left else "measures DS-EPLB"))


def make_world(
    draws: Draws, seed: int, jobs: int, show: Callable[[str], None], drawn: Callable[[str], None] = lambda line: None
) -> World:
    """The traces of one seed and their reference, made or found. Interrupted work is continued.

    Trace number k of the grid is drawn from 1000 * seed + k, so no two traces share their draws.

    jobs: traces that DS-EPLB is measured on at the same time; drawn: called with a line for each trace. Raises
    UsageError.
    """
    world = _world(draws.kept, seed)
    if _is_made(world):
        return world
    try:
        return _make(draws, seed, world, jobs, show, drawn)
    except KeyboardInterrupt:
        show(f"the finished traces are kept in {short(draws.kept)}; repeat the same command to continue")
        raise


def _make(
    draws: Draws, seed: int, world: World, jobs: int, show: Callable[[str], None], drawn: Callable[[str], None]
) -> World:
    left = _not_drawn(draws, world)
    show(
        f"seed {seed}: {'draws the traces and measures DS-EPLB on them' if left else 'measures DS-EPLB on the traces'}"
    )
    write_grid(world.grid, grid_of(draws.grid, draws.cases))
    for recipe in left:
        manifest, file = read_manifest(world.traces), f"{recipe.name}.npy"
        new = NewTrace(recipe.profile, recipe.dataset, recipe.iterations, MOST_TRACES * seed + recipe.number)
        values = generate(new.profile.parameters, new.iterations, recipe.layers, recipe.experts, new.seed)
        write_trace(world.traces / file, values)
        manifest["traces"][recipe.name] = entry_of(file, values, new.origin(), LICENCE)
        write_manifest(world.traces, manifest)
        drawn(f"{recipe.name}: drawn from seed {new.seed}, {list(values.shape)}")
    measure_reference(world, jobs, f"seed {seed}")
    return world


def measure_reference(world: World, jobs: int, whose: str) -> None:
    """Measure DS-EPLB on a world's grid and traces, `jobs` traces at the same time. Raises UsageError."""
    paths = ("--grid", world.grid, "--traces", world.traces, "--output", world.reference, "--jobs", jobs)
    code, log = run_quiet(KIT / "kit.py", "reference", *paths)
    if code:
        lines = [line for line in log.splitlines() if not line.startswith("note: ")]
        got, next_step = (
            " ".join(lines).rstrip(".") or f"exit code {code}",
            "correct what the messages above name, or choose longer traces",
        )
        raise UsageError(f"there is no reference for {whose}", got, "a reference from kit.py reference", next_step)


def _world(kept: Path, seed: int) -> World:
    folder = kept / f"seed-{seed}"
    return World(folder / "grid.yaml", folder / "traces", folder / "reference")


def _not_drawn(draws: Draws, world: World) -> list[Recipe]:
    """The recipes whose traces are still missing."""
    here = read_manifest(world.traces)["traces"]
    return [recipe for recipe in draws.recipes if recipe.name not in here]


def _is_made(world: World) -> bool:
    return (world.reference / "ds_eplb.json").is_file()
