"""What lies in which part of the bundle, and what each phase is built from."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple

from bundling.pages import with_images
from bundling.tree import Tree
from commands.archive import archive
from placement.errors import OrganizerError
from placement.traces.files import SUFFIXES
from placement.traces.yaml_file import parse_yaml

ROOT_FILES = ("competition.yaml", "logo.png", "pages")
KIT = (
    "starting_kit",
    "ingestion_program",
    "scoring_program",
    "reference_data/ds_eplb.json",
    "reference_data/series.npz",
    "sample_traces",
    # The guide's links and commands.
    "pages",
    "kit.mk",
    "requirements.txt",
    "pyproject.toml",
    "LICENSE",
)
# What a build reads, and somebody may have changed since.
SOURCES = (*ROOT_FILES, *KIT, "reference_data", "tools/phases.yaml")
# The kit's README.md: the repository's own is for organizers, too.
KIT_README = Path(__file__).with_name("kit_readme.md")
PUBLIC_GRIDS = tuple(f"ingestion_program/{name}.yaml" for name in ("grid", "grid_practice", "grid_official"))
PLAIN = SUFFIXES[:2]
# What participants run, unless they name another grid: the Development phase's, as the bundle ships.
KIT_GRID, KIT_TRACES = "ingestion_program/grid.yaml", "sample_traces"
REFERENCE_FILES = ("ds_eplb.json", "series.npz")
Files = dict[str, bytes]


class PhaseSource(NamedTuple):
    """What a phase is built from."""

    name: str
    grid: Path
    reference: Path
    # The folder of the phase's traces, where the file names one: the reference is compared with it.
    traces: Path | None = None


def read_phases(path: Path, root: Path) -> list[PhaseSource]:
    """The phases of a phases.yaml, with paths from root. Raises OrganizerError."""
    next_step = f"correct {path}"
    content = _yaml(path, next_step)
    if not isinstance(content, dict) or not content:
        raise OrganizerError(
            f"{path} names no phases", str(content), "a mapping of name to {grid, reference}", next_step
        )
    phases = []
    for name, value in content.items():
        if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name):
            raise OrganizerError(f"{path}: a phase's name", repr(name), "lower-case letters, digits and _", next_step)
        if not isinstance(value, dict) or set(value) - {"traces"} != {"grid", "reference"}:
            expected = "exactly the keys grid and reference, and traces, which may be left out"
            raise OrganizerError(f"{path}: phase {name}", str(value), expected, next_step)
        if not all(isinstance(entry, str) for entry in value.values()):
            raise OrganizerError(f"{path}: phase {name}", str(value), "a path for each key", next_step)
        phases.append(PhaseSource(name, **{key: root / place for key, place in value.items()}))
    return phases


def bundle_files(tree: Tree, phases: list[PhaseSource], keys: Mapping[str, str], vendor: Callable[[], Files]) -> Files:
    """The bundle's files; `vendor` is called when a phase with sealed traces needs it. Raises OrganizerError."""
    files = with_images(tree.files(*ROOT_FILES))
    files["scoring_program.zip"] = archive(below("scoring_program", tree.files("scoring_program")))
    files["starting_kit.zip"] = archive(kit_files(tree))
    for phase in phases:
        files[f"ingestion_{phase.name}.zip"] = archive(ingestion_files(tree, phase, keys, vendor))
        reference = {name: _read(phase.reference / name, phase) for name in REFERENCE_FILES}
        files[f"reference_{phase.name}.zip"] = archive(reference | {"signing.key": _key(keys["signing.key"])})
    return files


def kit_files(tree: Tree) -> Files:
    """What participants download: the repository's own paths, without organizers' files.

    kit.mk is its Makefile, and it has a README of its own. Raises OrganizerError, also where a trace of the kit's grid
    is not among them.
    """
    files = {
        "Makefile" if name == "kit.mk" else name: content
        for name, content in tree.files(*KIT).items()
        if name in PUBLIC_GRIDS or not fnmatch(name, "ingestion_program/grid*.yaml")
    } | {"README.md": KIT_README.read_bytes()}
    grid = _yaml(tree.root / KIT_GRID, f"correct {KIT_GRID}")
    for trace in grid_traces(grid):
        if not trace_names(trace) & set(files):
            raise _no_trace(tree, trace)
    return files


def grid_traces(grid: Any) -> list[str]:
    """<model>/<dataset> of the cases in a grid file's content, each once; rows of another form are left out."""
    cases = grid.get("cases") if isinstance(grid, dict) else None
    rows = [row for row in cases if isinstance(row, dict)] if isinstance(cases, list) else []
    return list(dict.fromkeys(f"{row.get('model')}/{row.get('dataset')}" for row in rows))


def trace_names(trace: str) -> set[str]:
    """Where the kit may have a trace."""
    return {f"{KIT_TRACES}/{trace}{suffix}" for suffix in PLAIN}


def _no_trace(tree: Tree, trace: str) -> OrganizerError:
    present = sorted(name for name in trace_names(trace) if (tree.root / name).exists())
    expected = f"every trace of {KIT_GRID}, which is the kit's grid, in the kit"
    if present:
        next_step = f"git add {present[0]}, and build again"
        return OrganizerError(f"{present[0]} is not tracked by git", "a file that stays here", expected, next_step)
    next_step = f"put the trace there, with its entry in {KIT_TRACES}/manifest.yaml, or correct the grid"
    return OrganizerError(f"{KIT_TRACES}/{trace}.npz is missing", "no such file, nor .npy", expected, next_step)


def ingestion_files(tree: Tree, phase: PhaseSource, keys: Mapping[str, str], vendor: Callable[[], Files]) -> Files:
    """A phase's ingestion program: its own grid alone, and what its traces need to be opened."""
    files = below("ingestion_program", tree.files("ingestion_program"))
    files = {name: content for name, content in files.items() if not fnmatch(name, "grid*.yaml")}
    files |= {"grid.yaml": _read(phase.grid, phase), "keys/signing.key": _key(keys["signing.key"])}
    if is_hidden(_yaml(phase.grid, f"correct {phase.grid}")):
        files |= {"keys/trace.key": _key(keys["trace.key"])} | vendor()
    return files


def is_hidden(grid: Any) -> bool:
    """Whether the content of a grid file says that its traces are secret."""
    return isinstance(grid, dict) and grid.get("hidden") is True


def below(folder: str, files: Files) -> Files:
    """Files of a folder, named from there: the platform wants no outer folder in a zip."""
    return {name.removeprefix(f"{folder}/"): content for name, content in files.items()}


def _key(text: str) -> bytes:
    return f"{text}\n".encode("ascii")


def _yaml(path: Path, next_step: str) -> Any:
    try:
        return parse_yaml(path.read_bytes())
    except (OSError, ValueError) as error:
        raise OrganizerError(f"{path} cannot be read", str(error), "a YAML file", next_step) from None


def _read(path: Path, phase: PhaseSource) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise OrganizerError(
            f"phase {phase.name}: {path} cannot be read",
            f"{type(error).__name__}: {error.strerror}",
            "the phase's grid, and the reference that `kit.py reference` wrote for it",
            "write it, or correct the phases' file",
        ) from None
