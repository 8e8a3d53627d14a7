"""The traces of `sweep`: named traces, traces made from dumps, and traces drawn instead of them."""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import re
import shlex
import shutil
from collections.abc import Callable, Iterable, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from placement import SIMULATOR_VERSION
from placement.errors import OrganizerError
from placement.grid import Case
from placement.submission.receipt import file_sha256
from sweeps.trace_file import TraceFile, trace_file
from traces.folder import parts_of, traces_in
from traces.generation.generator import generate
from traces.generation.profile import FOLDER
from traces.manifest import MANIFEST, entry_of, notes_of, read_manifest, write_manifest
from traces.plain_trace import PlainTrace
from traces.trace_file import write_trace

from .convert import add_convert
from .generate import LICENCE, NewTrace
from .options import UsageError
from .places import GRID, KIT, TRACES, short
from .seeds import GENERATION, MOST_TRACES, recipes
from .selection import read_grid

CONVERSION = KIT / "traces" / "conversion"
PLAIN = (".npy", ".npz")
DIGITS = 12
Show = Callable[[str], None]


def named_traces(inputs: Sequence[Path], options: str, output: Path, show: Show) -> list[TraceFile]:
    """The traces of the inputs: all traces of a folder, and for a dump the trace that `convert` makes.

    options: of `convert`, as typed; output: the folder that keeps what is made from dumps. Raises UsageError, and
    OrganizerError as `convert` does.
    """
    found: list[TraceFile] = []
    for path in inputs:
        if not path.exists():
            expected = "a folder of traces, a trace, or a dump that kit.py convert reads"
            raise UsageError("there is no such input", str(path), expected, "correct the path")
        found += _listed(path) or [_converted(path, options, output, show)]
    names = [trace.name for trace in found]
    for name in names:
        if names.count(name) > 1:
            step = "rename one of them; for a dump, with --convert='--dataset NAME' in a separate sweep"
            raise UsageError("two traces have the same name", name, "a different name for each", step)
    return found


def drawn_traces(
    traces: Sequence[TraceFile], windows: Iterable[int], seeds: Sequence[int], output: Path, show: Show
) -> list[TraceFile]:
    """Traces of the same sizes and lengths drawn from each seed, as `compare` draws them; kept in the output folder.

    windows: the collection windows of the sweep, of which the longest must fit. Raises UsageError.
    """
    made = []
    for number, trace in enumerate(traces):
        iterations, layers, experts = trace.shape
        case = Case(trace.model, trace.dataset, 1, 0, layers, experts, max(windows), latency=0)
        grid = replace(read_grid(GRID), cases=(case,))
        (recipe,) = recipes(grid, [case], TRACES, iterations)
        sources = [*GENERATION.glob("*.py"), FOLDER / f"{recipe.profile.name}.yaml"]
        made_of = [asdict(recipe.profile.parameters), list(trace.shape), np.__version__, SIMULATOR_VERSION, number]
        folder = output / _digits([*made_of, *map(file_sha256, sorted(sources))])
        for seed in seeds:
            dataset = f"{trace.dataset}-seed{seed}"
            name, manifest = f"{trace.model}/{dataset}", read_manifest(folder)
            if name not in manifest["traces"]:
                new = NewTrace(recipe.profile, dataset, iterations, MOST_TRACES * seed + number)
                values = generate(new.profile.parameters, new.iterations, layers, experts, new.seed)
                write_trace(folder / f"{name}.npy", values)
                manifest["traces"][name] = entry_of(f"{name}.npy", values, new.origin(), LICENCE)
                write_manifest(folder, manifest)
                by = f"by the profile {recipe.profile.name}, not by the counts of {trace.name}"
                show(f"{name}: drawn from seed {new.seed}, {list(values.shape)}, {by}")
            made.append(trace_file(folder, trace.model, dataset))
    return made


def _listed(path: Path) -> list[TraceFile]:
    """The traces of a folder with a manifest or the layout of traces, or the one trace of a file; no traces for a
    dump.
    """
    if path.is_file():
        folder, name = path.resolve().parent.parent, f"{path.resolve().parent.name}/{path.stem}"
        return [trace_file(folder, *name.split("/"))] if name in read_manifest(folder)["traces"] else []
    manifest = path / MANIFEST
    names = list(read_manifest(path)["traces"]) if manifest.is_file() else traces_in(path, PLAIN)
    if not manifest.is_file() and not all(_is_trace(path, name) for name in names):
        return []
    return [trace_file(path, *parts_of(name)) for name in names]


def _is_trace(folder: Path, name: str) -> bool:
    try:
        return all(PlainTrace(path, name).shape for path in folder.glob(f"{name}.np[yz]"))
    except OrganizerError:
        return False


def _converted(path: Path, options: str, output: Path, show: Show) -> TraceFile:
    # With what the options name, as `--map FILE` does.
    named = [Path(word.rpartition("=")[2]) for word in shlex.split(options)]
    inside = sorted(path.iterdir()) if path.is_dir() else [path]
    content = [[place.name, file_sha256(place) if place.is_file() else ""] for place in [*inside, *named]]
    folder = output / _digits([path.name, content, options, *map(file_sha256, sorted(CONVERSION.glob("*.py")))])
    if not read_manifest(folder)["traces"]:
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", path.resolve().stem).lstrip("._-") or "dump"
        given = ["--model", "dump", "--dataset", name, "--licence", "not stated"]
        # What a conversion that was killed left there.
        shutil.rmtree(folder, ignore_errors=True)
        show(f"converts {path}")
        _convert([str(path), *given, *shlex.split(options), "--output", str(folder)], path, show)
    else:
        for note in next(map(notes_of, read_manifest(folder)["traces"].values())):
            show(f"note: {note}")
    (name,) = read_manifest(folder)["traces"]
    return trace_file(folder, *name.split("/"))


def _convert(arguments: Sequence[str], path: Path, show: Show) -> None:
    parser = argparse.ArgumentParser(prog="kit.py sweep --convert", allow_abbrev=False)
    add_convert(parser.add_subparsers())
    settings = parser.parse_args(["convert", *arguments])
    printed = io.StringIO()
    try:
        with redirect_stdout(printed):
            settings.run(settings)
    except OrganizerError as error:
        step = f"{error.next_step}; give the options of kit.py convert as --convert='OPTIONS'"
        raise OrganizerError(error.what, error.got, error.expected, step, _place(path, error.where)) from None
    for line in printed.getvalue().splitlines():
        show(line)


def _place(path: Path, where: Sequence[str]) -> str:
    """The input, and the place in it: of a folder's files the one that is wrong."""
    inside = [place for place in where if place not in ("input", path.name)]
    return ", ".join([str(short(path)), *inside])


def _digits(content: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:DIGITS]
