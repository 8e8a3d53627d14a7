"""The commands seal, verify and inspect of `tools/traces.py`."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from manifest import MANIFEST, read_manifest, write_manifest
from placement.errors import OrganizerError
from placement.keys import read_key
from placement.sealed import MAGIC, read_header
from placement.trace import SUFFIXES, find_trace, open_trace, unreadable
from plain_trace import PlainTrace
from sealing import file_sha256, seal_trace

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")
PLAIN = SUFFIXES[:2]


def add_seal(commands: Any) -> None:
    """Declare `seal` on the subparsers of the command line."""
    parser = commands.add_parser(
        "seal",
        help="encrypt traces that nobody may read",
        description="Seal every trace that the folder's manifest.yaml lists, or every .npy and .npz where there is\n"
        "none, and list them in the output folder's manifest.yaml.",
        epilog="examples:\n"
        "  python tools/traces.py seal --traces hidden --output sealed --key keys/trace.key\n"
        "  python tools/traces.py seal --traces hidden --output sealed --key keys/trace.key \\\n"
        "      --rename DS-R1/LmSys=DS-R1/trace-01",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--traces", required=True, type=Path, metavar="FOLDER", help="folder of the plain traces")
    parser.add_argument("--output", required=True, type=Path, metavar="FOLDER", help="another folder")
    parser.add_argument("--key", required=True, type=Path, metavar="FILE", help="64 hexadecimal characters")
    parser.add_argument(
        "--rename",
        action="append",
        default=[],
        metavar="OLD=NEW",
        help="give a trace a neutral name; its origin and licence, which may tell it, are left out; repeatable",
    )
    parser.set_defaults(run=run_seal)


def add_verify(commands: Any) -> None:
    """Declare `verify` on the subparsers of the command line."""
    parser = commands.add_parser(
        "verify",
        help="compare traces with their manifest",
        description="Open every trace, plain or sealed, as a run does, and compare it with manifest.yaml.\n"
        "Exit code 0: all are right; 1: one is not. Without the key only a sealed file's own hash is compared.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--traces", required=True, type=Path, metavar="FOLDER", help="folder of the traces")
    parser.add_argument("--key", type=Path, metavar="FILE", help="the key of sealed traces")
    parser.set_defaults(run=run_verify)


def add_inspect(commands: Any) -> None:
    """Declare `inspect` on the subparsers of the command line."""
    parser = commands.add_parser(
        "inspect",
        help="print what a trace file says of itself",
        description="Print form, shape and size of trace files. Needs no key, and checks no content.",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a .npy, .npz or .sealed file")
    parser.set_defaults(run=run_inspect)


def run_seal(options: argparse.Namespace) -> int:
    """Write `<output>/<model>/<dataset>.sealed` and its manifest entry for every trace; returns exit code 0.

    Raises OrganizerError, TraceError and OSError; before anything is written, when an output folder holds a plain
    file of a trace's name.
    """
    key = read_key(options.key)
    given, manifest = read_manifest(options.traces)["traces"], read_manifest(options.output)
    names = list(given) if (options.traces / MANIFEST).exists() else _found(options.traces, PLAIN)
    if not names:
        raise _no_trace(options.traces)
    sources = {name: _plain(options.traces, name) for name in names}
    new_names = _new_names(options.rename, names)
    for name in new_names.values():
        _refuse_plain_beside(options.output, name)
    for old, source in sources.items():
        entry, name = given.get(old, {}), new_names[old]
        path = options.output / f"{name}.sealed"
        header, sha256 = seal_trace(source, path, key, name, entry.get("sha256"))
        kept = ("origin", "licence") if name == old else ()
        manifest["traces"][name] = {
            "file": f"{name}.sealed",
            "shape": list(header.shape),
            "sha256": sha256,
            "sealed_sha256": file_sha256(path),
        } | {field: entry[field] for field in kept if field in entry}
        write_manifest(options.output, manifest)
        print(f"{path}: sealed, {list(header.shape)}, chunks: {header.chunks}, {header.file_bytes / 1e6:.1f} MB")
    return 0


def run_verify(options: argparse.Namespace) -> int:
    """Print a line per trace; returns 1 when one is wrong. Raises OrganizerError, TraceError and OSError."""
    key = read_key(options.key) if options.key else None
    manifest = read_manifest(options.traces)
    names = list(dict.fromkeys([*manifest["traces"], *_found(options.traces, SUFFIXES)]))
    if not names:
        raise _no_trace(options.traces)
    wrong = 0
    for name in names:
        try:
            print(f"ok     {name}: {_verify(options.traces, name, manifest, key)}", flush=True)
        except OrganizerError as error:
            wrong += 1
            print(f"wrong  {error}", flush=True)
    return int(wrong > 0)


def run_inspect(options: argparse.Namespace) -> int:
    """Print a line per file; returns 1 when one cannot be read."""
    wrong = 0
    for path in options.files:
        try:
            print(f"{path}: {_describe(path)}, {path.stat().st_size} bytes")
        except (OrganizerError, OSError) as error:
            wrong += 1
            print(error if isinstance(error, OrganizerError) else unreadable(path, error, str(path)))
    return int(wrong > 0)


def _verify(folder: Path, name: str, manifest: Mapping[str, Any], key: bytes | None) -> str:
    """What was compared. Raises OrganizerError for a trace that is not the manifest's, and OSError."""
    model, dataset = _parts(name)
    path = find_trace(folder, model, dataset)
    sealed = path.suffix == ".sealed"
    if sealed:
        expected, got = manifest["traces"].get(name, {}).get("sealed_sha256"), file_sha256(path)
        if got != expected:
            raise OrganizerError(
                "the sealed file's sha256 is not the manifest's",
                got=got,
                expected=str(expected),
                next_step="copy the file and its manifest.yaml again",
                where=f"trace {name}",
            )
    if sealed and key is None:
        return f"{path.name}, sealed file's hash only, because no key was given"
    trace = open_trace(folder, model, dataset, manifest, key)
    return f"{path.name}, [{trace.iterations}, {trace.layers}, {trace.experts}]" + ", opened with the key" * sealed


def _describe(path: Path) -> str:
    with open(path, "rb") as file:
        is_sealed = file.read(len(MAGIC)) == MAGIC
        file.seek(0)
        if not is_sealed and path.suffix != ".sealed":
            plain = PlainTrace(path, str(path))
            return f"plain .{plain.form}, {list(plain.shape)}, {plain.dtype}"
        try:
            header = read_header(file)
        except ValueError as error:
            expected, next_step = "a complete .sealed file of format 1", "copy it again"
            raise OrganizerError(
                "the sealed trace cannot be read", str(error), expected, next_step, str(path)
            ) from None
    chunks = f"chunks: {header.chunks} of {header.chunk_iterations} iterations"
    return f"sealed, format 1, {list(header.shape)}, int32, {chunks}, file id {header.file_id}"


def _plain(folder: Path, name: str) -> PlainTrace:
    path = find_trace(folder, *_parts(name))
    if path.suffix not in PLAIN:
        raise OrganizerError(
            "the trace is sealed already", path.name, "a .npy or .npz file", "copy it as it is", f"trace {name}"
        )
    return PlainTrace(path, f"trace {name}")


def _new_names(renames: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """New name by old name. Raises OrganizerError for a rename of no trace, to no name, or to a name in use."""
    found = {name: name for name in names}
    for text in renames:
        old, _, new = text.partition("=")
        if old not in found or not NAME.fullmatch(new):
            expected = f"OLD=NEW with OLD one of {', '.join(names)} and NEW <model>/<dataset>"
            raise OrganizerError("a trace cannot be renamed", repr(text), expected, "correct --rename", "seal")
        found[old] = new
    if len(set(found.values())) < len(found):
        got = ", ".join(found.values())
        raise OrganizerError("two traces would have one name", got, "a name for each", "correct --rename", "seal")
    return found


def _refuse_plain_beside(folder: Path, name: str) -> None:
    """Raise OrganizerError where the plain trace would lie beside the sealed one, and be read in its place."""
    present = next((path for suffix in PLAIN if (path := folder / f"{name}{suffix}").exists()), None)
    if present:
        raise OrganizerError(
            "a plain trace lies where its sealed file would",
            got=str(present),
            expected="an --output folder without plain traces",
            next_step="choose another --output, or move the plain file away",
            where=f"trace {name}",
        )


def _found(folder: Path, suffixes: tuple[str, ...]) -> list[str]:
    """Names of the traces whose files lie in a folder, each once."""
    paths = sorted(path for path in folder.glob("*/*") if path.suffix in suffixes and path.is_file())
    return list(dict.fromkeys(f"{path.parent.name}/{path.stem}" for path in paths))


def _parts(name: str) -> list[str]:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        expected = "<model>/<dataset>, of letters, digits, '.', '_' and '-'"
        raise OrganizerError("a trace has no plain name", repr(name), expected, "rename it", MANIFEST)
    return name.split("/")


def _no_trace(folder: Path) -> OrganizerError:
    expected = "<model>/<dataset>.npy, .npz or .sealed"
    return OrganizerError("there is no trace", f"none in {folder}", expected, "correct --traces", "traces")
