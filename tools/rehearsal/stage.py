"""What a rehearsal starts from: the bundle's phases, the submission as a zip, and the worker's data directory."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bundling.reader import PARTS, Bundle, Phase, json_of
from bundling.rules_archive import REBUILD
from bundling.rules_form import read_competition
from bundling.tree import is_junk
from commands.archive import archive, unpack
from commands.blocks import blocks_of
from placement.errors import OrganizerError
from placement.grid import Case, Grid
from placement.traces.files import SUFFIXES, find_trace
from sealing import seal_trace
from traces.manifest import MANIFEST, read_manifest, write_manifest
from traces.plain_trace import PlainTrace


def read_bundle(path: Path) -> Bundle:
    """A bundle's zip. Raises OrganizerError, which also tells of a phase without its parts, and zipfile.BadZipFile."""
    if not path.is_file():
        raise OrganizerError(f"the bundle {path} is missing", "no such file", "a built bundle", REBUILD)
    files = unpack(path.read_bytes())
    bundle = Bundle(files, read_competition(files))
    for phase in bundle.phases:
        missing = [key for key in PARTS if not bundle.inner(phase.parts.get(key))]
        if missing:
            raise OrganizerError(
                f"{phase.name} cannot be run", f"no zip for {', '.join(missing)}", "all parts", REBUILD
            )
    return bundle


def choose_phases(bundle: Bundle, name: str | None) -> list[Phase]:
    """The phase of that name, in any case of letters, or all. Raises OrganizerError when there is none."""
    phases = [phase for phase in bundle.phases if name is None or title(phase).lower() == name.lower()]
    if not phases:
        expected = " or ".join(title(phase).lower() for phase in bundle.phases)
        raise OrganizerError("there is no such phase", str(name), expected or "a phase", "correct --phase")
    return phases


def title(phase: Phase) -> str:
    """The phase's name as participants read it."""
    return str(phase.entry.get("name"))


def zip_submission(source: Path, folder: Path) -> Path:
    """The zip to hand in: as it is, or made in `folder` of a folder or of one policy.py, with the blocks of the kit
    that they import, as `kit.py pack` takes them along. Raises OrganizerError.
    """
    if source.is_dir():
        names = [path.relative_to(source).as_posix() for path in sorted(source.rglob("*")) if path.is_file()]
        files = {name: source / name for name in names if not is_junk(name)}
    elif source.name == "policy.py" and source.is_file():
        files = {"policy.py": source}
    elif source.is_file():
        return source
    else:
        expected = "a zip, a folder with policy.py, or a policy.py"
        raise OrganizerError(f"the submission {source} is missing", "no such file", expected, "correct --submission")
    target = folder / "submission.zip"
    target.write_bytes(archive({name: path.read_bytes() for name, path in (files | blocks_of(files)).items()}))
    return target


def lay_out_traces(folder: Path, grid: Grid, phase: Phase, traces: Path) -> list[str]:
    """Fill a phase's folder in the worker's data directory, and say in a line for each trace what lies there.

    Hidden traces are sealed with the key in the phase's own ingestion program. Raises OrganizerError, OSError.
    """
    if not traces.is_dir():
        raise OrganizerError(
            f"the traces {traces} are missing", "no such folder", "a folder of traces", "correct --traces"
        )
    given, placed, lines = read_manifest(traces)["traces"], {}, []
    key = _trace_key(phase) if phase.hidden else None
    rows = json_of(phase.reference.get("ds_eplb.json", b"")).get("cases") or []
    hashes = {f"{row.get('model')}/{row.get('dataset')}": row.get("trace_sha256") for row in rows}
    for name, case in {f"{case.model}/{case.dataset}": case for case in grid.cases}.items():
        source = _source(traces, given, case, hashes.get(name))
        path = find_trace(traces, *source.split("/"))
        entry, target = given.get(source, {}), folder / f"{name}{path.suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        if key and path.suffix != ".sealed":
            target = target.with_name(f"{case.dataset}.sealed")
            header, sha256 = seal_trace(PlainTrace(path, source), target, key, name, entry.get("sha256"))
            entry = {"shape": list(header.shape), "sha256": sha256}
            lines.append(f"{name}: {source} of {traces}, sealed with the key in {phase.parts['ingestion_program']}")
        else:
            link(path, target)
            lines.append(f"{name}: {source} of {traces}, as it is")
        placed[name] = entry
    # As on a worker without a manifest: the ingestion program says so.
    if all(placed.values()):
        write_manifest(folder, {"traces": placed})
    return lines


def link(source: Path, target: Path) -> None:
    """Put a file elsewhere without copying it where that can be: traces are large, and mounted read-only."""
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)


def _source(traces: Path, given: dict[str, Any], case: Case, sha256: str | None) -> str:
    """Which trace is taken for a case: that of its name, else one of its model and shape, best the reference's own."""
    name = f"{case.model}/{case.dataset}"
    if any((traces / f"{name}{suffix}").is_file() for suffix in SUFFIXES):
        return name
    sizes = [case.layers, case.experts]
    fitting = [
        other
        for other, entry in given.items()
        if other.startswith(f"{case.model}/") and list(entry.get("shape") or ())[1:] == sizes
    ]
    if not fitting:
        got = f"none of {case.model} with {case.layers} layers and {case.experts} experts in {traces / MANIFEST}"
        raise OrganizerError(
            f"there is no trace for {name}", got, f"{name} in {traces}", "name its folder with --traces"
        )
    return min(fitting, key=lambda other: given[other].get("sha256") != sha256)


def _trace_key(phase: Phase) -> bytes:
    part, text = phase.parts["ingestion_program"], phase.ingestion.get("keys/trace.key", b"")
    try:
        return bytes.fromhex(text.strip().decode("ascii"))
    except ValueError:
        raise OrganizerError(f"{part} holds no key for sealed traces", "no keys/trace.key", "a key", REBUILD) from None


def zip_output(folder: Path, target: Path) -> list[str]:
    """Zip a job's output as the worker does; returns names that were left out because they are no plain files.

    The worker would follow links, into its own files; here they would lead into this machine's.
    """
    left_out = []
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as zipped:
        for place, folders, names in os.walk(folder):
            for name in sorted([*names, *(name for name in folders if os.path.islink(os.path.join(place, name)))]):
                path = Path(place, name)
                if path.is_symlink() or not path.is_file():
                    left_out.append(path.relative_to(folder).as_posix())
                else:
                    # Of a year before 1980, which a zip cannot tell, an attack may make a file.
                    info = zipfile.ZipInfo(path.relative_to(folder).as_posix())
                    info.compress_type = zipfile.ZIP_DEFLATED
                    info.external_attr = 0o100644 << 16
                    with path.open("rb") as source, zipped.open(info, "w", force_zip64=True) as copy:
                        shutil.copyfileobj(source, copy)
    return left_out


def unpack_into(folder: Path, *zips: Path) -> Path:
    """Unpack zips into a fresh folder, as the worker does, and return it. Raises what zipfile raises."""
    folder.mkdir(parents=True)
    for path in zips:
        with zipfile.ZipFile(path) as zipped:
            zipped.extractall(folder)
    return open_to_all([folder])[0]


def open_to_all(folders: Iterable[Path]) -> list[Path]:
    """Let the container's root write where this user is another: it has no right to override modes."""
    folders = list(folders)
    if os.geteuid():
        for path in (path for folder in folders for path in (folder, *folder.rglob("*"))):
            path.chmod(0o777 if path.is_dir() else 0o666)
    return folders
