"""Organizers' command for hidden traces: writes a sealed copy of each, and their manifest.

    python tools/seal.py --traces hidden --output sealed --key keys/trace.key
    python tools/seal.py --traces hidden --output sealed --key keys/trace.key --rename DS-R1/LmSys=DS-R1/trace-01
    python tools/seal.py --traces hidden --output sealed --key keys/trace.key --relabel

Seals every trace that the folder's manifest.yaml lists, or every .npy and .npz where there is none, and lists them in
the output folder's manifest.yaml. That keeps, sealed, what --rename and --relabel hide: `kit.py inspect --key` tells.
Make the reference after --relabel: the initial deployment's devices hold other experts then. Exit code 0: sealed.
2: that cannot be done.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / name) for name in ("tools", "starting_kit", "ingestion_program", "scoring_program")]

from placement.evaluation.interruption import begin, raise_when_interrupted

if __name__ == "__main__":
    # Before the rest is imported, which takes its time.
    begin("seal.py", "seal.py: interrupted")

import argparse
import re
import secrets
from collections.abc import Iterable, Sequence
from typing import Any

from bundling.parts import PLAIN
from bundling.rules_secrets import NEUTRAL
from placement.errors import OrganizerError
from placement.evaluation.printing import run_program
from placement.submission.receipt import file_sha256
from placement.traces.files import find_trace
from placement.traces.keys import read_key
from sealing import seal_trace
from traces.folder import NAME, no_trace, parts_of, traces_in
from traces.labels import draw_labels
from traces.manifest import MANIFEST, PROVENANCE, read_manifest, write_manifest
from traces.plain_trace import PlainTrace
from traces.sealed_part import FIELD, seal_part


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    try:
        return seal(parse(arguments))
    except (OrganizerError, OSError) as error:
        print(f"seal.py: error: {error}", file=sys.stderr)
        return 2


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(
        prog="seal.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--traces", required=True, type=Path, metavar="FOLDER", help="folder of the plain traces")
    parser.add_argument(
        "--output",
        required=True,
        type=Path,
        metavar="FOLDER",
        help="folder for the sealed traces, another than --traces",
    )
    parser.add_argument(
        "--key",
        required=True,
        type=Path,
        metavar="FILE",
        help="key file: 64 hexadecimal characters, from bundle.py keys",
    )
    parser.add_argument(
        "--rename",
        action="append",
        default=[],
        metavar="OLD=NEW",
        help="give a trace a neutral name; the origin and licence, which may reveal the trace, are sealed; repeatable",
    )
    parser.add_argument(
        "--relabel", action="store_true", help="give the experts of each layer other ids, drawn with the key"
    )
    parser.add_argument("--seed", type=int, metavar="N", help="seed of --relabel (default: the system's randomness)")
    parser.add_argument(
        "--groups",
        action="append",
        default=[],
        metavar="MODEL=N",
        help="with --relabel: keep a model's expert groups together, as a grid with `groups` needs; repeatable",
    )
    parser.add_argument("--replace", action="store_true", help="replace traces that were sealed before")
    options = parser.parse_args(arguments)
    if not options.relabel and (options.seed is not None or options.groups):
        parser.error("--seed and --groups need --relabel: add --relabel, or leave them out")
    return options


def seal(options: argparse.Namespace) -> int:
    """Write `<output>/<model>/<dataset>.sealed` and its manifest entry for every trace; returns exit code 0.

    Raises OrganizerError and OSError; before anything is written, for options that do not fit the traces, and when an
    output folder holds a plain file of a trace's name, tells a renamed trace's former one, or, without --replace, has a
    sealed one.
    """
    key = read_key(options.key)
    given, manifest = read_manifest(options.traces)["traces"], read_manifest(options.output)
    names = list(given) if (options.traces / MANIFEST).exists() else traces_in(options.traces, PLAIN)
    if not names:
        raise no_trace(options.traces)
    sources = {name: _plain(options.traces, name) for name in names}
    new_names = _new_names(options.rename, names)
    groups = _groups(options.groups, new_names.values())
    seed = secrets.randbits(63) if options.seed is None else options.seed
    drawn, labels = {}, {}
    for old, name in new_names.items() if options.relabel else ():
        drawn[name] = {"seed": seed, "groups": groups.get(parts_of(name)[0], 1)}
        labels[name] = draw_labels(key, name, sources[old].shape, **drawn[name])
    for old, name in new_names.items():
        _refuse_plain_beside(options.output, name)
        if not options.replace:
            _refuse_sealed_before(options.output, manifest, name, options.relabel)
        if old not in new_names.values():
            _refuse_former_name(options.output, manifest, old, name)
    if options.rename:
        # By new names: the manifest's order would tell that of the former ones.
        new_names = dict(sorted(new_names.items(), key=lambda names: names[1]))
    for old, name in new_names.items():
        entry, source = given.get(old, {}), sources[old]
        path = options.output / f"{name}.sealed"
        header, sha256 = seal_trace(source, path, key, name, entry.get("sha256"), labels.get(name))
        told = {field: entry[field] for field in PROVENANCE if field in entry}
        manifest["traces"][name] = {
            "file": f"{name}.sealed",
            "shape": list(header.shape),
            "sha256": sha256,
            "sealed_sha256": file_sha256(path),
        } | (told if name == old else {})
        if labels:
            # They name experts by the numbers that are hidden.
            manifest["traces"][name].pop("notes", None)
        if labels or name != old:
            hidden = {"name": old, **told, "relabelled": drawn.get(name)}
            manifest["traces"][name][FIELD] = seal_part(hidden, key, name, sha256)
        write_manifest(options.output, manifest)
        size = f"{list(header.shape)}, chunks: {header.chunks}, {header.file_bytes / 1e6:.1f} MB"
        print(f"{path}: sealed, {size}" + ", relabelled" * bool(labels))
    if left := [name for name in traces_in(options.traces, PLAIN) if name not in names]:
        print(f"note: {MANIFEST} does not list {', '.join(left)}: not sealed")
    if odd := [name for name in new_names.values() if not NEUTRAL.fullmatch(parts_of(name)[1])]:
        print(f"note: {odd[0]}: of hidden traces, bundle.py check takes the names trace-01, trace-02, ... alone, since")
        print(f"logs show them: seal with --rename OLD={parts_of(odd[0])[0]}/trace-NN, each with a number of its own")
    if options.relabel:
        print("The hashes of the traces have changed: make the reference from this folder (kit.py reference).")
    return 0


def _plain(folder: Path, name: str) -> PlainTrace:
    path = find_trace(folder, *parts_of(name))
    if path.suffix not in PLAIN:
        raise OrganizerError(
            "the trace is sealed already", path.name, "a .npy or .npz file", "copy the file as it is", f"trace {name}"
        )
    return PlainTrace(path, f"trace {name}")


def _new_names(renames: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """New name by old name. Raises OrganizerError for a rename of an unknown trace, to an invalid name, or to a used
    name.
    """
    new_names = {name: name for name in names}
    for text in renames:
        old, _, new = text.partition("=")
        if old not in new_names or not NAME.fullmatch(new):
            expected = f"OLD=NEW with OLD one of {', '.join(names)} and NEW <model>/<dataset>"
            raise OrganizerError("a trace cannot be renamed", repr(text), expected, "correct --rename", "seal")
        new_names[old] = new
    if len(set(new_names.values())) < len(new_names):
        got = ", ".join(new_names.values())
        raise OrganizerError(
            "two traces would have the same name", got, "a different name for each", "correct --rename", "seal"
        )
    return new_names


def _groups(texts: Sequence[str], names: Iterable[str]) -> dict[str, int]:
    """Groups by model. Raises OrganizerError for a text of another form, or a model that is not sealed."""
    models, groups = sorted({parts_of(name)[0] for name in names}), {}
    for text in texts:
        model, _, number = text.partition("=")
        if model not in models or not re.fullmatch("[1-9][0-9]{0,5}", number):
            expected = f"MODEL=N with MODEL one of {', '.join(models)} and N the model's groups"
            raise OrganizerError("groups cannot be kept together", repr(text), expected, "correct --groups", "seal")
        groups[model] = int(number)
    return groups


def _refuse_plain_beside(folder: Path, name: str) -> None:
    """Raise OrganizerError where the plain trace lies beside the sealed one, because a run would read the plain one."""
    present = next((path for suffix in PLAIN if (path := folder / f"{name}{suffix}").exists()), None)
    if present:
        raise OrganizerError(
            "a plain trace lies where its sealed file would",
            got=str(present),
            expected="an --output folder without plain traces",
            next_step="choose another folder with --output, or move the plain file away",
            where=f"trace {name}",
        )


def _refuse_sealed_before(folder: Path, manifest: dict[str, Any], name: str, relabel: bool) -> None:
    """Raise OrganizerError where a trace was sealed before: workers and the reference may use the sealed copy."""
    path = folder / f"{name}.sealed"
    if name in manifest["traces"] or path.exists():
        next_step = "choose another folder with --output; or give --replace, and copy the new traces to the workers"
        next_step += ", and make the reference again, because other ids give other hashes" * relabel
        raise OrganizerError(
            "the trace was sealed before",
            got=str(path),
            expected="an --output folder without this trace",
            next_step=next_step,
            where=f"trace {name}",
        )


def _refuse_former_name(folder: Path, manifest: dict[str, Any], old: str, name: str) -> None:
    """Raise OrganizerError where an earlier sealing left the former name that the new name shall hide."""
    path = folder / f"{old}.sealed"
    if old in manifest["traces"] or path.exists():
        raise OrganizerError(
            "the output folder reveals the trace's former name",
            got=f"{old} in {folder}",
            expected="an --output folder that holds the trace only under its new name",
            next_step=f"choose another folder with --output, or remove {path} and its entry in {MANIFEST}",
            where=f"trace {name}",
        )


if __name__ == "__main__":
    raise_when_interrupted()
    run_program(main, "seal.py")
