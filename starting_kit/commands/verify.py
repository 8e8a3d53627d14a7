"""`verify`: compare the traces of a folder with the folder's manifest."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from placement.errors import OrganizerError
from placement.submission.receipt import file_sha256
from placement.traces.files import SUFFIXES, TraceFolder, find_trace
from placement.traces.keys import read_key
from traces.folder import no_trace, parts_of, traces_in
from traces.manifest import read_manifest


def add_verify(commands: Any) -> None:
    """Declare the command `verify`."""
    parser = commands.add_parser(
        "verify",
        help="compare traces with their manifest",
        description="Open every trace, plain or sealed, as a run does, and compare the trace with manifest.yaml.\n"
        "Exit code 0: every trace is right. 1: a trace is wrong. Without --key, only the hash of a "
        "sealed file is compared.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--traces", required=True, type=Path, metavar="FOLDER", help="folder of the traces")
    parser.add_argument("--key", type=Path, metavar="FILE", help="key file of sealed traces")
    parser.set_defaults(run=run_verify)


def run_verify(options: argparse.Namespace) -> int:
    """Print a line for each trace; return 1 when a trace is wrong. Raises OrganizerError and OSError."""
    key = read_key(options.key) if options.key else None
    manifest = read_manifest(options.traces)
    names = list(dict.fromkeys([*manifest["traces"], *traces_in(options.traces, SUFFIXES)]))
    if not names:
        raise no_trace(options.traces)
    wrong = 0
    for name in names:
        try:
            print(f"ok     {name}: {_verify(options.traces, name, manifest, key)}", flush=True)
        except OrganizerError as error:
            wrong += 1
            print(f"wrong  {error}", flush=True)
    return int(wrong > 0)


def _verify(folder: Path, name: str, manifest: Mapping[str, Any], key: bytes | None) -> str:
    """Say what was compared. Raises OrganizerError for a trace that differs from the manifest, and OSError."""
    model, dataset = parts_of(name)
    path = find_trace(folder, model, dataset)
    sealed = path.suffix == ".sealed"
    if sealed:
        if name not in manifest["traces"]:
            raise OrganizerError(
                "the manifest does not list the sealed trace",
                got=f"no entry traces: {name}",
                expected="the manifest that seal.py wrote beside the trace",
                next_step="copy that manifest.yaml, or remove the file",
                where=f"trace {name}",
            )
        expected, got = manifest["traces"][name].get("sealed_sha256"), file_sha256(path)
        if got != expected:
            raise OrganizerError(
                "the sealed file's sha256 differs from the manifest's",
                got=got,
                expected=str(expected),
                next_step="copy the file and its manifest.yaml again",
                where=f"trace {name}",
            )
    if sealed and key is None:
        return f"{path.name}, only the sealed file's hash, because no --key was given"
    trace = TraceFolder(folder, manifest, key).open(model, dataset)
    return f"{path.name}, [{trace.iterations}, {trace.layers}, {trace.experts}]" + ", opened with the key" * sealed
