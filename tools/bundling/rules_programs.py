"""Rules for what a phase runs: the programs' commands, the phase's grid, and the reference that belongs to it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import asdict

from bundling.parts import KIT_GRID, Files, is_hidden
from bundling.reader import Bundle, Fault, json_of, mapping_of
from bundling.rules_archive import REBUILD
from bundling.rules_form import shown
from placement.errors import OrganizerError
from placement.grid import Grid, grid_from_mapping
from scores.comparison import case_name
from scores.formats import REFERENCE_FORMAT

# What the platform reads at the root of each part, and what a kit is unpacked for.
ROOT_FILE = {
    "ingestion_program": "metadata.yaml",
    "scoring_program": "metadata.yaml",
    "reference_data": "ds_eplb.json",
    "starting_kit": "starting_kit/kit.py",
}
SHELL = set("$&|;<>`*?~\n")
MOUNT = "/app/program/"
KIT, KIT_DS_EPLB = "starting kit", "reference_data/ds_eplb.json"
SIMULATOR = "placement/__init__.py"
VERSION = re.compile(rb'^SIMULATOR_VERSION = "(.+)"$', re.MULTILINE)
KIT_REFERENCE = "run python starting_kit/kit.py reference, and build again"
PHASE_REFERENCE = (
    "run python starting_kit/kit.py reference --grid GRID --traces FOLDER --output REFERENCE with the phase's grid, "
    "the folder of its traces (sealed ones: also --key keys/trace.key) and that of its reference, and build again"
)


def roots(bundle: Bundle) -> Iterator[Fault]:
    """The files of a part lie at its zip's root: the platform looks nowhere else."""
    named = [entry for kind in ("tasks", "phases") for entry in bundle.entries(kind)]
    for key, wanted in ROOT_FILE.items():
        for name in sorted({entry[key] for entry in named if isinstance(entry.get(key), str)}):
            files = bundle.inner(name)
            if files and wanted not in files:
                nested = next((file for file in files if file.endswith(f"/{wanted}")), None)
                got = f"{nested}: a folder too many" if nested else f"{len(files)} other files"
                yield Fault(name, f"has no {wanted} at its root", got, wanted, REBUILD)


def commands(bundle: Bundle) -> Iterator[Fault]:
    """A program's command is split like a shell's words, but no shell runs it."""
    seen = set()
    for phase in bundle.phases:
        for key, files in (("ingestion_program", phase.ingestion), ("scoring_program", phase.scoring)):
            part = phase.parts.get(key)
            if part not in seen and "metadata.yaml" in files:
                seen.add(part)
                yield from command(f"{part}, metadata.yaml", files)


def command(where: str, files: Files) -> Iterator[Fault]:
    """The command of one program."""
    metadata = mapping_of(files["metadata.yaml"])
    if "command" not in metadata:
        got = f"the keys {', '.join(map(str, metadata))}" if metadata else "no keys"
        expected = f"command: python3 {MOUNT}NAME.py; a data file needs another name, since the platform reads this one"
        yield Fault(where, "has no command", got, expected, "add the command, or rename the file")
        return
    value = metadata["command"]
    if not isinstance(value, str):
        yield Fault(where, "command is no text", shown(value), f"command: python3 {MOUNT}NAME.py", "correct it")
        return
    if specials := sorted(SHELL & set(value)):
        expected = "words only: no shell runs it, and the platform replaces words that begin with $"
        yield Fault(where, "command needs a shell", " ".join(specials), expected, "correct it")
    try:
        scripts = [word for word in shlex.split(value) if word.endswith(".py") or "/" in word]
    except ValueError as error:
        yield Fault(where, "command cannot be split", error, "balanced quotes", "correct it")
        return
    for script in scripts or [value]:
        if not script.startswith("/"):
            yield Fault(where, "command has a relative path", script, f"a path below {MOUNT}", "correct it")
        elif script.startswith("/app/") and script.removeprefix(MOUNT) not in files:
            expected = f"{MOUNT}NAME, NAME being a file of the zip"
            yield Fault(where, "command names a file that is not there", script, expected, "correct it")


def grids(bundle: Bundle) -> Iterator[Fault]:
    """Each phase has a sound grid of its own name, and what hides traces goes together."""
    names: dict[str, str] = {}
    for phase in bundle.phases:
        grid = grid_of(f"{phase.name}, grid.yaml", phase.ingestion, "grid.yaml")
        if isinstance(grid, Fault):
            yield grid
            continue
        if grid.name in names:
            got = f"{grid.name}, as in {names[grid.name]}"
            expected = "a name of its own, which is that of the traces' folder on the worker"
            yield Fault(phase.name, "its grid's name is taken", got, expected, "rename one of the grids")
        names[grid.name] = phase.name
        if phase.hidden and grid.sandbox != "required":
            expected = "required, since the traces are hidden"
            yield Fault(phase.name, "its grid's sandbox may be left out", grid.sandbox, expected, "correct the grid")


def references(bundle: Bundle) -> Iterator[Fault]:
    """A phase's reference has the rows of its grid."""
    for phase in bundle.phases:
        grid = grid_of(phase.name, phase.ingestion, "grid.yaml")
        if isinstance(grid, Grid) and phase.reference:
            where = phase.parts["reference_data"]
            program = phase.ingestion.get(SIMULATOR, b"")
            next_step = write_reference(bundle, grid)
            yield from reference_difference(where, grid, phase.reference.get("ds_eplb.json", b""), program, next_step)


def kit_reference(bundle: Bundle) -> Iterator[Fault]:
    """The kit's own grid and reference belong together as well."""
    if bundle.kit:
        grid = grid_of(f"{KIT}, grid.yaml", bundle.kit, KIT_GRID)
        if isinstance(grid, Fault):
            yield grid
        else:
            data, program = (bundle.kit.get(name, b"") for name in (KIT_DS_EPLB, f"ingestion_program/{SIMULATOR}"))
            yield from reference_difference(KIT, grid, data, program, KIT_REFERENCE)


def write_reference(bundle: Bundle, grid: Grid) -> str:
    """How a phase's reference is made; the kit's grid has the one that the command makes by default."""
    kit = kit_grid(bundle)
    return KIT_REFERENCE if kit and kit.name == grid.name else PHASE_REFERENCE


def grid_of(where: str, files: Files, name: str) -> Grid | Fault:
    """A grid of a part, or what is wrong with it."""
    content = mapping_of(files.get(name, b""))
    try:
        return grid_from_mapping(content)
    except OrganizerError as error:
        return Fault(where, error.what, error.got, error.expected, error.next_step)


def phase_grids(bundle: Bundle) -> dict[str, Grid]:
    """The phases' grids by the phase's name, of those that have a sound one."""
    grids = {phase.name: grid_of(phase.name, phase.ingestion, "grid.yaml") for phase in bundle.phases}
    return {name: grid for name, grid in grids.items() if isinstance(grid, Grid)}


def kit_grid(bundle: Bundle) -> Grid | None:
    """The kit's own grid, if it has a sound one."""
    grid = grid_of(KIT, bundle.kit, KIT_GRID)
    return grid if isinstance(grid, Grid) else None


def reference_difference(where: str, grid: Grid, data: bytes, program: bytes, next_step: str) -> Iterator[Fault]:
    """In what a reference's rows differ from a grid and the program (its placement/__init__.py) that runs the grid.

    The scorer would refuse every submission. next_step: how the reference is made.
    """
    content = json_of(data)
    if content.get("format") != REFERENCE_FORMAT:
        what, got = "the reference has the wrong format", shown(content.get("format"))
        yield Fault(where, what, got, f"format {REFERENCE_FORMAT}", next_step)
        return
    rows = content.get("cases")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        yield Fault(where, "ds_eplb.json has no cases", shown(rows), "a row for each case", next_step)
        return
    names = list(map(case_name, rows))
    wanted = [case.name for case in grid.cases]
    if names != wanted:
        odd = sorted(set(names) ^ set(wanted)) or ["their order"]
        got = f"{len(names)} cases, different: {', '.join(odd)}"
        expected = f"the {len(wanted)} cases of grid {grid.name}, in its order"
        yield Fault(where, "the reference's cases are not the grid's", got, expected, next_step)
        return
    for field in ("window", "latency", "groups", "nodes", "cost"):
        wanted = [asdict(grid.cost) if field == "cost" else getattr(case, field) for case in grid.cases]
        pairs = zip((row.get(field) for row in rows), wanted, strict=True)
        if different := [pair for pair in pairs if pair[0] != pair[1]]:
            got, expected = map(shown, different[0])
            what = f"the reference was made with {'other' if field.endswith('s') else 'another'} {field}"
            yield Fault(where, what, got, f"{expected}, as in grid {grid.name}", next_step)
    simulator = VERSION.search(program)
    versions = {row.get("simulator_version") for row in rows}
    if simulator and versions != {simulator[1].decode()}:
        got, expected = ", ".join(sorted(map(shown, versions))), f"{shown(simulator[1].decode())}, the program's"
        yield Fault(where, "the reference was made with another simulator_version", got, expected, next_step)


def hidden_parts(bundle: Bundle) -> Iterator[Fault]:
    """The program of a phase with hidden traces, and no other, carries what opens them."""
    for phase in bundle.phases:
        if not phase.ingestion:
            continue
        where, names = phase.parts["ingestion_program"], set(phase.ingestion)
        for what, present in (
            ("keys/trace.key", "keys/trace.key" in names),
            ("vendor/Crypto", any(name.startswith("vendor/Crypto/") for name in names)),
        ):
            if present != phase.hidden:
                got = f"{what} is {'there' if present else 'missing'}, hidden: {str(is_hidden(phase.grid)).lower()}"
                expected = "both, or neither"
                yield Fault(where, f"{what} and the grid do not fit", got, expected, "correct the grid and build again")


RULES = (commands, grids, references, kit_reference, hidden_parts)
