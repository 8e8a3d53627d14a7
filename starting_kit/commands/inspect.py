"""`inspect`: print form, shape and size of trace files."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from placement.errors import OrganizerError
from placement.traces.files import unreadable
from placement.traces.keys import read_key
from placement.traces.sealed import MAGIC, read_sealed_header
from traces.labels import draw_labels
from traces.manifest import read_manifest
from traces.plain_trace import PlainTrace
from traces.sealed_part import open_part

SUFFIXES = (".npy", ".npz", ".sealed")


def add_inspect(commands: Any) -> None:
    """Declare the command `inspect`."""
    parser = commands.add_parser(
        "inspect",
        help="print form, shape and size of trace files",
        description="Print form, shape and size of trace files. Needs no key, and checks no content.\n"
        "With --key, also print what the manifest keeps sealed: a trace's former name and origin, and "
        "how it was relabelled.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--key", type=Path, metavar="FILE", help="key file of sealed traces")
    parser.add_argument(
        "--labels",
        type=Path,
        metavar="FOLDER",
        help="with --key: write <FOLDER>/<model>/<dataset>.npy, an array [layer, former expert id] of the ids in the "
        "trace",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a .npy, .npz or .sealed file")
    parser.set_defaults(run=run_inspect)


def run_inspect(options: argparse.Namespace) -> int:
    """Print a line for each file, and below it what the manifest keeps sealed; return 1 when a file cannot be read.

    Raises OrganizerError for a key that cannot be read, and for --labels without --key.
    """
    if options.labels and not options.key:
        what, expected = "--labels needs the key", "the key of the sealed traces"
        raise OrganizerError(what, "no --key", expected, "add --key", "--labels")
    wrong, key = 0, read_key(options.key) if options.key else None
    for path in options.files:
        try:
            print(f"{path}: {_describe(path)}, {path.stat().st_size} bytes")
            if key and path.suffix == ".sealed":
                _tell_sealed_part(path, key, options.labels)
        except (OrganizerError, OSError) as error:
            wrong += 1
            found = error if isinstance(error, OrganizerError) else unreadable(path, error, str(path))
            # A copy of what is no trace, or not there, would be read no better.
            if not path.exists():
                found.next_step = "correct the path"
            elif path.suffix not in SUFFIXES:
                found.next_step = f"name a trace file: {', '.join(SUFFIXES)}"
            print(found)
    return int(wrong > 0)


def _tell_sealed_part(path: Path, key: bytes, folder: Path | None) -> None:
    """Print what the manifest beside a trace keeps sealed, and write the labels. Raises OrganizerError and OSError."""
    name = f"{path.absolute().parent.name}/{path.stem}"
    entry = read_manifest(path.absolute().parent.parent)["traces"].get(name, {})
    part = open_part(entry, key, name)
    if not part:
        print("  the manifest keeps nothing sealed for this trace")
        return
    relabelled = part.pop("relabelled")
    for field, value in part.items():
        print(f"  {field}: {value}")
    print("  relabelled: " + (f"seed {relabelled['seed']}, groups {relabelled['groups']}" if relabelled else "no"))
    if relabelled and folder:
        target = folder / f"{name}.npy"
        target.parent.mkdir(parents=True, exist_ok=True)
        np.save(target, draw_labels(key, name, entry["shape"], **relabelled))
        print(f"  labels: {target}")


def _describe(path: Path) -> str:
    with open(path, "rb") as file:
        is_sealed = file.read(len(MAGIC)) == MAGIC
        file.seek(0)
        if not is_sealed and path.suffix != ".sealed":
            plain = PlainTrace(path, str(path))
            return f"plain .{plain.form}, {list(plain.shape)}, {plain.dtype}"
        try:
            header = read_sealed_header(file)
        except ValueError as error:
            expected, next_step = "a complete .sealed file of format 1", "copy the file again"
            raise OrganizerError(
                "the sealed trace cannot be read", str(error), expected, next_step, str(path)
            ) from None
    chunks = f"chunks: {header.chunks} of {header.chunk_iterations} iterations"
    return f"sealed, format 1, {list(header.shape)}, int32, {chunks}, file id {header.file_id}"
