"""`generate`: write generated traces, and list them in the folder's manifest.yaml."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from placement.errors import OrganizerError
from placement.trace import trace_sha256
from traces.folder import refuse_to_replace
from traces.generation.generator import Drawing, generate
from traces.generation.independent import independent
from traces.generation.profile import FOLDER, Parameters, Profile, read_profile
from traces.generation.stream import Stream
from traces.manifest import hashed_entry, read_manifest, write_manifest
from traces.trace_file import SMALLEST_TRACE, write_drawn, write_trace

from .argument_types import integer_from, plain_name
from .composed import (
    COMPOSED,
    COMPOSED_ITERATIONS,
    COMPOSED_OPTIONS,
    ComposedTrace,
    add_composed_options,
    composed_trace,
)
from .named_paths import check_output

LICENCE = "Apache-2.0"
GENERATED = "generated:"
# What traces are made from, and the options that only some of them have.
FAMILIES = {
    "profiles": ("profile", "fitted"),
    "independent": ("profile",),
    "requests": COMPOSED_OPTIONS,
}
# The profiles of the traces that ship. Short, so that a clone stays small.
SAMPLES = ("DS-R1/LmSys", "Qwen3/LmSys")
SAMPLE_SEED = 1
SAMPLE_DATASET = "generated"
SAMPLE_ITERATIONS = 512


class NewTrace(NamedTuple):
    """One trace to write."""

    profile: Profile
    dataset: str
    iterations: int
    seed: int
    fitted: bool = False
    family: str = "profiles"

    @property
    def name(self) -> str:
        """The trace's name, `<model>/<dataset>`."""
        return f"{self.profile.model}/{self.dataset}"

    @property
    def licence(self) -> str:
        """The licence of a generated trace, for the manifest."""
        return LICENCE

    def values(self) -> np.ndarray:
        """The trace, int32 [iteration, layer, expert]. Raises OrganizerError for a trace that cannot be generated."""
        with self._generable():
            return generate(self._parameters(), *self.shape, self.seed, self.fitted)

    def stream(self) -> Stream:
        """The trace as a stream: values are drawn when they are asked for. Raises as `values` does."""
        with self._generable():
            return Stream(Drawing(self._parameters(), *self.shape, self.seed, self.fitted), *self.shape)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Iterations, layers, experts."""
        return self.iterations, self.profile.layers, self.profile.experts

    def _parameters(self) -> Parameters:
        return independent(self.profile.parameters) if self.family == "independent" else self.profile.parameters

    @contextmanager
    def _generable(self) -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            what, expected = "the trace cannot be generated", "parameters that give the counts of a trace"
            where = f"profile {self.profile.name}"
            raise OrganizerError(what, str(error), expected, "correct the profile", where) from None

    def origin(self) -> str:
        """The trace's origin for the manifest; the digits distinguish two states of a profile."""
        parameters = json.dumps(asdict(self.profile.parameters), sort_keys=True).encode()
        digits = hashlib.sha256(parameters).hexdigest()[:8]
        made = f"profile {self.profile.name} (parameters {digits}), seed {self.seed}"
        timing = "as fitted, for calibration alone" if self.fitted else "drawn from the seed"
        moved = f"period, phase and switches {timing}"
        if self.family == "independent":
            made, moved = f"independent, {made}", "every expert drifts alone"
        return f"{GENERATED} {made}, {moved}, kit.py generate; not a recording"


def add_generate(commands: Any) -> None:
    """Declare the command `generate`."""
    parser = commands.add_parser(
        "generate",
        help="generate synthetic traces from a seed and from profiles or recorded requests",
        description="Generate synthetic traces and list them in the output folder's manifest.yaml.\n"
        "Without --family and --profile, this writes the sample traces as shipped. There are three families, compared "
        "in\n"
        "starting_kit/traces/profiles/README.md:\n"
        "  profiles     popularity and drift as fitted to published figures of recorded traces\n"
        "  independent  a profile's popularity, but every expert drifts alone\n"
        "  requests     composed of recorded requests, whose topics stay, drift or switch",
        epilog="examples:\n"
        "  python starting_kit/kit.py generate --output sample_traces\n"
        "  python starting_kit/kit.py generate --output traces --profile DS-R1/Mix Qwen3/LmSys --seed 7\n"
        "  python starting_kit/kit.py generate --output traces --profile mine.yaml --dataset mine --iterations 2048\n"
        "  python starting_kit/kit.py generate --output alone --family independent --profile DS-R1/LmSys --seed 7\n"
        "  python starting_kit/kit.py generate --output composed --family requests --requests routing.npz \\\n"
        "      --model GPT-OSS-20B --dataset drifting --weights drifting --seed 7",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    shipped = ", ".join(sorted(f"{path.parent.name}/{path.stem}" for path in FOLDER.glob("*/*.yaml")))
    parser.add_argument("--output", required=True, type=Path, metavar="FOLDER", help="folder for the traces")
    parser.add_argument(
        "--family", choices=FAMILIES, default="profiles", help="family of the traces (default: %(default)s)"
    )
    parser.add_argument("--profile", nargs="+", metavar="PROFILE", help=f"a profile's file, or one of {shipped}")
    parser.add_argument(
        "--dataset",
        type=plain_name,
        metavar="NAME",
        help="name of the dataset (default: the profile's; required for requests)",
    )
    parser.add_argument(
        "--iterations",
        type=integer_from(SMALLEST_TRACE),
        metavar="N",
        help="length of the trace; a longer trace begins with the shorter one (default: the profile's; "
        f"{SAMPLE_ITERATIONS} for the sample traces; {COMPOSED_ITERATIONS} for requests)",
    )
    parser.add_argument(
        "--seed",
        type=integer_from(0),
        default=SAMPLE_SEED,
        metavar="N",
        help="seed of the first trace; each further trace has the next seed. Traces of one seed have much in common, "
        "whatever their profiles (default: %(default)s)",
    )
    parser.add_argument(
        "--fitted",
        action="store_true",
        help="for calibration only: keep period, phase and switches at the profile's values; without --fitted, the "
        "seed moves them",
    )
    parser.add_argument(
        "--format",
        choices=("npz", "npy"),
        help="npz: compressed, int16 where the values allow it; npy: int32, for full traces (default: npz for the "
        "sample traces, else npy)",
    )
    add_composed_options(parser)
    parser.set_defaults(run=run_generate)


def run_generate(options: argparse.Namespace) -> int:
    """Write `<output>/<model>/<dataset>.<format>` and the manifest entry of each trace; return 0.

    Raises OrganizerError: before writing, for options that the family does not have, and for an existing trace of that
    name that was not generated; later, for a trace that cannot be generated, or that would differ from the existing
    trace of the same profile and seed.
    """
    check_output("--output", options.output)
    _refuse_options_of_others(options)
    manifest = read_manifest(options.output)
    requests = options.family == "requests"
    new_traces: list[NewTrace] | list[ComposedTrace] = [composed_trace(options)] if requests else _new_traces(options)
    for trace in new_traces:
        refuse_to_replace(options.output, trace.name, "generated", _is_generated)
    suffix = options.format or ("npy" if options.profile or requests else "npz")
    for trace in new_traces:
        path = options.output / f"{trace.name}.{suffix}"
        entry = _write(trace, path, manifest)
        # Of two files of one trace, only the one that the manifest describes may stay.
        path.with_suffix(".npy" if suffix == "npz" else ".npz").unlink(missing_ok=True)
        manifest["traces"][trace.name] = entry
        write_manifest(options.output, manifest)
        print(f"{path}: {entry['shape']}, {path.stat().st_size / 1e6:.1f} MB", flush=True)
    return 0


def _write(trace: NewTrace | ComposedTrace, path: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    """Write a trace's file and return its entry; a .npy is drawn block by block. Raises as run_generate does."""
    entry: dict[str, Any] = {}

    def accept(sha256: str) -> None:
        entry.update(hashed_entry(f"{trace.name}{path.suffix}", shape, sha256, trace.origin(), trace.licence))
        _refuse_other_draws(trace.name, entry, manifest)

    if isinstance(trace, NewTrace) and path.suffix == ".npy":
        shape: tuple[int, ...] = trace.shape
        write_drawn(path, trace.stream(), accept)
        return entry
    values = trace.values()
    shape = values.shape
    accept(trace_sha256(values))
    write_trace(path, values)
    return entry


def find_profile(text: str) -> Profile:
    """A profile from its file or from the name of a shipped profile. Raises OrganizerError."""
    shipped = FOLDER / f"{text}.yaml"
    return read_profile(shipped if shipped.is_file() else Path(text))


def _refuse_options_of_others(options: argparse.Namespace) -> None:
    """Refuse an option that only other families have, instead of ignoring it."""
    for name in dict.fromkeys(name for names in FAMILIES.values() for name in names):
        if name not in FAMILIES[options.family] and getattr(options, name) not in (None, False):
            flag = f"--{name.replace('_', '-')}"
            what, got = f"{flag} is not an option of --family {options.family}", f"{flag} {getattr(options, name)}"
            raise OrganizerError(
                what, got, "no such option", "leave the option out, or choose another family", "generate"
            )


def _new_traces(options: argparse.Namespace) -> list[NewTrace]:
    sample = not options.profile
    if sample and options.family == "independent":
        what, expected = "the sample traces are of the family profiles", "--profile with --family independent"
        raise OrganizerError(what, "no --profile", expected, "name a profile, such as DS-R1/LmSys", "generate")
    dataset = options.dataset or (SAMPLE_DATASET if sample else None)
    if dataset and not sample and len(options.profile) > 1:
        got, expected = f"{len(options.profile)} profiles", "one --profile with --dataset"
        raise OrganizerError("--dataset names one trace", got, expected, "make the traces one by one")
    new_traces = []
    for number, text in enumerate(SAMPLES if sample else dict.fromkeys(options.profile)):
        profile = find_profile(text)
        iterations = options.iterations or (SAMPLE_ITERATIONS if sample else profile.iterations)
        name, seed = dataset or profile.dataset, options.seed + number
        new_traces.append(NewTrace(profile, name, iterations, seed, options.fitted, options.family))
    return new_traces


def _refuse_other_draws(name: str, entry: dict[str, Any], manifest: dict[str, Any]) -> None:
    """Refuse to replace a trace of the same origin and shape by other values: its reference would no longer fit."""
    old = manifest["traces"].get(name, entry)
    made_alike = (old.get("origin"), old.get("shape")) == (entry["origin"], entry["shape"])
    if made_alike and old.get("sha256") != entry["sha256"]:
        raise OrganizerError(
            f"numpy {np.__version__} draws other values from this seed than the existing trace has",
            got=f"sha256 {entry['sha256']}, not written",
            expected=str(old.get("sha256")),
            next_step="use the numpy version of pyproject.toml, or write to another folder",
            where=f"trace {name}",
        )


def _is_generated(entry: Mapping[str, Any]) -> bool:
    return str(entry.get("origin")).startswith((GENERATED, COMPOSED))
