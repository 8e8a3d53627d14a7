"""Rules for the traces behind the references: a reference of other traces has the scorer refuse every submission, and
traces of another key or shape than the phase's cannot be run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bundling.parts import PhaseSource
from bundling.reader import Bundle, Fault, json_of
from bundling.rules_programs import KIT, KIT_DS_EPLB, KIT_REFERENCE, PHASE_REFERENCE, kit_grid, phase_grids
from bundling.rules_secrets import MANIFEST, sample_traces
from placement.errors import OrganizerError
from placement.grid import Grid, grid_from_mapping
from placement.traces.sealed import SealedFile
from placement.traces.yaml_file import read_yaml
from traces.manifest import read_manifest

OPEN = "write hidden: true into the grid, or name the folder of the plain traces, and build again"
KEY = (
    "build with the key that the traces were sealed with (--keys FOLDER); if it is lost, seal them again with this "
    "one, make the reference again, and copy them to the workers"
)


def open_references(bundle: Bundle) -> Iterator[Fault]:
    """The kit's reference, and that of a phase with the kit's grid, are of the traces that the kit's manifest lists."""
    entries, kit, grids = sample_traces(bundle), kit_grid(bundle), phase_grids(bundle)
    references = {KIT: bundle.kit.get(KIT_DS_EPLB, b"")}
    for phase in bundle.phases:
        if kit and phase.name in grids and grids[phase.name].name == kit.name:
            references[phase.parts["reference_data"]] = phase.reference.get("ds_eplb.json", b"")
    for where, data in references.items():
        yield from other_traces(where, json_of(data), entries, MANIFEST, KIT_REFERENCE)


def source_traces(phases: Iterable[PhaseSource], key: bytes) -> Iterator[Fault]:
    """Of the phases whose traces' folder tools/phases.yaml names: whether grid, key and reference belong to the traces.

    key: 32 bytes, trace.key. A grid that cannot be read is left to the rules of the bundle. Raises OrganizerError where
    a sealed file is damaged, and OSError.
    """
    for phase in phases:
        if phase.traces is None:
            continue
        manifest = phase.traces / "manifest.yaml"
        path = phase.reference / "ds_eplb.json"
        entries = read_manifest(phase.traces)["traces"]
        try:
            grid = grid_from_mapping(read_yaml(phase.grid, "grid"))
        except OrganizerError:
            continue
        yield from unfit_traces(f"phase {phase.name}, {phase.grid}", grid, entries, str(manifest))
        if grid.hidden:
            yield from locked_traces(f"phase {phase.name}", grid, phase.traces, key)
        where = f"phase {phase.name}, {path}"
        yield from other_traces(where, json_of(path.read_bytes()), entries, str(manifest), PHASE_REFERENCE)


def unfit_traces(where: str, grid: Grid, entries: Mapping[str, Any], manifest: str) -> Iterator[Fault]:
    """Each trace of a grid that is sealed though the grid is open, or whose shape is not its model's."""
    for name, case in {f"{case.model}/{case.dataset}": case for case in grid.cases}.items():
        entry = entries.get(name)
        if not isinstance(entry, dict):
            continue
        if "sealed_sha256" in entry and not grid.hidden:
            expected = "hidden: true, since only a hidden phase's program gets the key"
            yield Fault(where, f"the grid is open, but its trace {name} is sealed", "no hidden: true", expected, OPEN)
        sizes, there = [case.layers, case.experts], list(entry.get("shape") or ())[1:]
        if there and there != sizes:
            got, expected = (f"{layers} layers, {experts} experts" for layers, experts in (sizes, there))
            what = f"the sizes of {case.model} are not those of its trace {name}"
            yield Fault(where, what, got, f"{expected}, as in {manifest}", "correct the grid's models")


def locked_traces(where: str, grid: Grid, folder: Path, key: bytes) -> Iterator[Fault]:
    """Each sealed file of a grid's traces that the key does not open, by its first values."""
    for name in dict.fromkeys(f"{case.model}/{case.dataset}" for case in grid.cases):
        path = folder / f"{name}.sealed"
        if not path.is_file():
            continue
        file = SealedFile(path, key, name)
        try:
            file.read(0, np.empty((1, *file.shape[1:]), file.dtype))
        except OrganizerError as error:
            yield Fault(where, f"trace.key does not open {path}", error.got, error.expected, KEY)


def other_traces(
    where: str, reference: Mapping[str, Any], entries: Mapping[str, Any], manifest: str, next_step: str
) -> Iterator[Fault]:
    """Each trace of a reference that has another hash in the traces' manifest, or is not in there."""
    rows = reference.get("cases") or []
    hashes = [(f"{row.get('model')}/{row.get('dataset')}", str(row.get("trace_sha256"))) for row in rows]
    for name, sha256 in dict.fromkeys(hashes):
        entry = entries.get(name)
        if entry is None:
            expected = f"the traces of {manifest}: {', '.join(entries) or 'none'}"
            yield Fault(where, "the reference has a trace that the manifest lacks", name, expected, next_step)
        elif not isinstance(entry, dict) or entry.get("sha256") != sha256:
            told = entry.get("sha256") if isinstance(entry, dict) else entry
            what = f"the reference was made from another trace {name}"
            yield Fault(where, what, f"sha256 {sha256}", f"{told}, as in {manifest}", next_step)


RULES = (open_references,)
