"""A participant's own traces: a grid that fits them, made from their manifest, and their reference, measured once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from placement.evaluation.versions import versions
from placement.submission.receipt import simulator_sha256
from placement.traces.yaml_file import read_yaml
from traces.folder import parts_of
from traces.manifest import MANIFEST, read_manifest
from traces.reference import REFERENCE_FORMAT

from .fitting import LONGEST_WINDOW, fitting_eps, fitting_times, fitting_window
from .named_paths import check_folder
from .options import UsageError
from .places import GRID, OUTPUT, short
from .seeds import World, measure_reference
from .selection import write_grid

NAME = "own"
# The limits of what a long trace has more of: calls.
GROWING = ("case_seconds", "grid_seconds")


def own_grid(traces: Path) -> dict[str, Any]:
    """The content of a grid of all traces in a manifest: the sample grid with another window and other cases.

    Each trace has the numbers of devices that fit its experts; the window fits the shortest trace. Raises UsageError,
    and OrganizerError for a malformed manifest.
    """
    check_folder("--traces", traces, MANIFEST)
    if not (entries := read_manifest(traces)["traces"]):
        next_step = "make the manifest with kit.py convert or kit.py generate, or name a grid with --grid"
        raise UsageError(
            "no manifest lists the traces", f"none in {traces / MANIFEST}", "an entry for each trace", next_step
        )
    return fitted_grid(NAME, {name: _shape(name, entry) for name, entry in entries.items()})


def fitted_grid(grid: str, shapes: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """The content of a grid of that name for traces of these shapes, as in own_grid. Raises UsageError."""
    models: dict[str, dict[str, int]] = {}
    cases = []
    for name, (_, layers, experts) in shapes.items():
        model, dataset = parts_of(name)
        size = {"layers": layers, "experts": experts}
        if models.setdefault(model, size) != size:
            got, expected = f"{size} beside {models[model]}", f"one size for all traces of {model}"
            raise _wrong(name, "a model has two sizes", got, expected, "rename one of the models")
        if not (eps := fitting_eps(experts)):
            raise _wrong(
                name,
                "no number of devices fits the experts",
                f"{experts} experts",
                "two experts or more",
                "leave the trace out",
            )
        cases.append({"model": model, "dataset": dataset, "ep": eps})
    lengths = [iterations for iterations, _, _ in shapes.values()]
    content, times = read_yaml(GRID, "grid"), fitting_times(max(lengths))
    limits = {name: value * (times if name in GROWING else 1) for name, value in content["limits"].items()}
    chosen = {"window": fitting_window(min(lengths)), "limits": limits, "models": models, "cases": cases}
    return content | {"name": grid} | chosen


def own_world(traces: Path) -> World:
    """Write the grid of a folder's traces, and return the world with the place of the reference, not yet measured.

    The place depends on everything that would change a value of the reference. Raises as own_grid does.
    """
    content = own_grid(traces)
    hashes = {name: entry.get("sha256") for name, entry in read_manifest(traces)["traces"].items()}
    made_of = [content, hashes, versions(), simulator_sha256(), REFERENCE_FORMAT]
    digits = hashlib.sha256(json.dumps(made_of, sort_keys=True, default=str).encode()).hexdigest()[:12]
    folder = OUTPUT / NAME / digits
    write_grid(folder / "grid.yaml", content)
    return World(folder / "grid.yaml", traces, folder / "reference")


def tell_grid(world: World, show: Callable[[str], None]) -> None:
    """Say which cases and window were chosen, and where the grid is kept."""
    content = read_yaml(world.grid, "grid")
    rows = [f"{row['model']}/{row['dataset']} ep {', '.join(map(str, row['ep']))}" for row in content["cases"]]
    why = "" if content["window"] == LONGEST_WINDOW else ", which fits four times into the shortest trace"
    show(f"grid of {short(world.traces)}: {'; '.join(rows)}; window {content['window']}{why}")
    show(
        f"kept in {short(world.grid.parent)}; for other cases, change a copy of its grid.yaml and name the copy "
        "with --grid"
    )


def measure_once(world: World, jobs: int, show: Callable[[str], None]) -> None:
    """Measure DS-EPLB on a world, unless its reference exists. Raises UsageError."""
    if not (world.reference / "ds_eplb.json").is_file():
        show("measures DS-EPLB on these traces, once")
        measure_reference(world, jobs, "these traces")


def _shape(name: str, entry: Mapping[str, Any]) -> list[int]:
    shape = entry.get("shape")
    if not isinstance(shape, list) or len(shape) != 3 or not all(type(size) is int and size > 0 for size in shape):
        expected, next_step = "[iterations, layers, experts]", f"correct {MANIFEST}"
        raise _wrong(name, "the manifest's shape is not the shape of a trace", str(shape), expected, next_step)
    return shape


def _wrong(name: str, what: str, got: str, expected: str, next_step: str) -> UsageError:
    return UsageError(what, got, expected, f"{next_step}, or name a grid with --grid", f"trace {name}")
