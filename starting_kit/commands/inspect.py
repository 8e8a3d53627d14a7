"""`inspect`: print what a trace file says of itself."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from placement.errors import OrganizerError
from placement.traces.files import unreadable
from placement.traces.sealed import MAGIC, read_sealed_header
from traces.plain_trace import PlainTrace


def add_inspect(commands: Any) -> None:
    """Declare `inspect` on the subparsers of the command line."""
    parser = commands.add_parser(
        "inspect",
        help="print what a trace file says of itself",
        description="Print form, shape and size of trace files. Needs no key, and checks no content.",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a .npy, .npz or .sealed file")
    parser.set_defaults(run=run_inspect)


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
            expected, next_step = "a complete .sealed file of format 1", "copy it again"
            raise OrganizerError(
                "the sealed trace cannot be read", str(error), expected, next_step, str(path)
            ) from None
    chunks = f"chunks: {header.chunks} of {header.chunk_iterations} iterations"
    return f"sealed, format 1, {list(header.shape)}, int32, {chunks}, file id {header.file_id}"
