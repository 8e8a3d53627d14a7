"""Rules for the traces behind the references: a reference of other traces has the scorer refuse every submission."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bundling.parts import PhaseSource
from bundling.reader import Bundle, Fault, json_of
from bundling.rules_programs import KIT, KIT_DS_EPLB, KIT_REFERENCE, PHASE_REFERENCE, kit_grid, phase_grids
from bundling.rules_secrets import MANIFEST, sample_traces
from traces.manifest import read_manifest


def open_references(bundle: Bundle) -> Iterator[Fault]:
    """The kit's reference, and that of a phase with the kit's grid, are of the traces that the kit's manifest lists."""
    entries, kit, grids = sample_traces(bundle), kit_grid(bundle), phase_grids(bundle)
    references = {KIT: bundle.kit.get(KIT_DS_EPLB, b"")}
    for phase in bundle.phases:
        if kit and phase.name in grids and grids[phase.name].name == kit.name:
            references[phase.parts["reference_data"]] = phase.reference.get("ds_eplb.json", b"")
    for where, data in references.items():
        yield from other_traces(where, json_of(data), entries, MANIFEST, KIT_REFERENCE)


def source_references(phases: Iterable[PhaseSource]) -> Iterator[Fault]:
    """References of the phases whose traces' folder tools/phases.yaml names. Raises OrganizerError, OSError."""
    for phase in phases:
        if phase.traces is None:
            continue
        manifest = phase.traces / "manifest.yaml"
        path = phase.reference / "ds_eplb.json"
        entries = read_manifest(phase.traces)["traces"]
        where = f"phase {phase.name}, {path}"
        yield from other_traces(where, json_of(path.read_bytes()), entries, str(manifest), PHASE_REFERENCE)


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
