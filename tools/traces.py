"""Organizers' command for traces: `python tools/traces.py COMMAND`.

A command is a function `add_NAME` that declares its arguments and sets `run`, a function of the parsed
arguments; what it works with is in modules of their own (`topics.py` for generate, `trace_commands.py` for the rest).
"""

from __future__ import annotations

import argparse
import re
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "ingestion_program"))

from manifest import MANIFEST, TraceError, read_manifest, write_manifest, write_whole
from placement.errors import OrganizerError
from placement.trace import trace_sha256
from topics import Profile, generate
from trace_commands import add_inspect, add_seal, add_verify

LICENCE = "Apache-2.0"
GENERATED = "generated:"
SMALLEST_TRACE = 3  # window + 2, with the smallest window


class Model(NamedTuple):
    """Shape of a model's MoE layers, and the seed of its sample trace."""

    layers: int
    experts: int
    seed: int


MODELS = {"DS-R1": Model(58, 256, 1), "Qwen3": Model(94, 128, 2)}
SAMPLE_DATASET = "generated"
SAMPLE_ITERATIONS = 512
# As recorded ones have.
FULL_ITERATIONS = {"DS-R1": 6144, "Qwen3": 5120}


def main(arguments: list[str] | None = None) -> int:
    """Run the command line. Returns the exit code: 0, 2 when the command cannot be carried out, 1 from its findings.

    Raises SystemExit for arguments that argparse refuses and for --help.
    """
    parser = argparse.ArgumentParser(
        prog="traces.py", description="Make, seal and check the traces that a grid is run on."
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for add in (add_generate, add_seal, add_verify, add_inspect):
        add(commands)
    options = parser.parse_args(arguments)
    try:
        return options.run(options)
    except (TraceError, OrganizerError, OSError) as error:
        print(f"traces.py {options.command}: error: {error}", file=sys.stderr)
        return 2


def add_generate(commands: Any) -> None:
    """Declare `generate` on the subparsers of the command line."""
    parser = commands.add_parser(
        "generate",
        help="generate synthetic traces from a seed",
        description="Generate synthetic traces and list them in the output folder's manifest.yaml.\n"
        "Without further options this writes the sample traces as they ship.",
        epilog="examples:\n"
        "  python tools/traces.py generate --output sample_traces\n"
        "  python tools/traces.py generate --output traces --model Qwen3 --dataset long \\\n"
        "      --iterations 5120 --seed 7 --format npy",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    seeds = ", ".join(f"{model.seed} for {name}" for name, model in MODELS.items())
    parser.add_argument("--output", required=True, type=Path, metavar="FOLDER", help="folder of the traces")
    parser.add_argument("--model", choices=MODELS, help="one model only (default: every model)")
    parser.add_argument("--dataset", type=_dataset, default=SAMPLE_DATASET, metavar="NAME", help="default: %(default)s")
    parser.add_argument(
        "--iterations",
        type=_integer_from(SMALLEST_TRACE),
        default=SAMPLE_ITERATIONS,
        metavar="N",
        help="length of the trace; a longer one begins with the shorter one (default: %(default)s)",
    )
    parser.add_argument("--seed", type=_integer_from(0), metavar="N", help=f"default: {seeds}")
    parser.add_argument(
        "--format",
        choices=("npz", "npy"),
        default="npz",
        help="npz: compressed, int16 where the values allow it; npy: int32, for full traces (default: npz)",
    )
    parser.set_defaults(run=run_generate)


def run_generate(options: argparse.Namespace) -> int:
    """Write `<output>/<model>/<dataset>.<format>` and its manifest entry for each chosen model; returns 0.

    Raises TraceError before anything is written when a trace of that name exists that was not generated.
    """
    manifest = read_manifest(options.output)
    names = [options.model] if options.model else list(MODELS)
    for name in names:
        _refuse_to_replace(options.output, name, options.dataset, manifest)
    for name in names:
        model = MODELS[name]
        seed = model.seed if options.seed is None else options.seed
        values = generate(Profile(), options.iterations, model.layers, model.experts, seed)
        path = options.output / name / f"{options.dataset}.{options.format}"
        entry = _entry(f"{name}/{path.name}", values, seed)
        _refuse_other_draws(f"{name}/{options.dataset}", entry, manifest)
        write_trace(path, values)
        # Of two files of one trace, only the one that the manifest describes may stay.
        other = "npy" if options.format == "npz" else "npz"
        path.with_name(f"{options.dataset}.{other}").unlink(missing_ok=True)
        manifest["traces"][f"{name}/{options.dataset}"] = entry
        write_manifest(options.output, manifest)
        print(f"{path}: {list(values.shape)}, {path.stat().st_size / 1e6:.1f} MB")
    return 0


def write_trace(path: Path, values: np.ndarray) -> None:
    """Write a trace [iteration, layer, expert] as .npy (int32) or .npz (one array, `hotness`, see below).

    values: int32. The .npz holds int16 when the values fit, which makes it a sixth smaller. Its member
    carries a fixed time, so equal values give equal bytes with equal releases of zlib. Raises OSError.
    """
    if path.suffix == ".npy":
        write_whole(path, lambda file: _write_array(file, values.astype("<i4", copy=False)))
        return
    small = values.astype("<i2" if values.max() < 2**15 else "<i4", copy=False)
    member = zipfile.ZipInfo("hotness.npy", date_time=(1980, 1, 1, 0, 0, 0))
    member.compress_type = zipfile.ZIP_DEFLATED
    member.create_system = 3  # as on Unix: the default names the system that runs
    member.external_attr = 0o644 << 16

    def write_archive(file: IO[bytes]) -> None:
        with zipfile.ZipFile(file, "w") as archive, archive.open(member, "w", force_zip64=True) as stream:
            _write_array(stream, small)

    write_whole(path, write_archive)


def _entry(file: str, values: np.ndarray, seed: int) -> dict[str, Any]:
    return {
        "file": file,
        "shape": list(values.shape),
        "sha256": trace_sha256(values),
        "origin": f"{GENERATED} shared-topics model, python tools/traces.py generate, seed {seed}; not a recording",
        "licence": LICENCE,
    }


def _refuse_other_draws(name: str, entry: dict[str, Any], manifest: dict[str, Any]) -> None:
    """Keep a trace of the same origin and shape but other values: its reference would no longer fit."""
    old = manifest["traces"].get(name, entry)
    same_recipe = (old.get("origin"), old.get("shape")) == (entry["origin"], entry["shape"])
    if same_recipe and old.get("sha256") != entry["sha256"]:
        raise TraceError(
            f"{name}: numpy {np.__version__} draws other values from this seed than made the trace that is there, so"
            " nothing was written; use the numpy of pyproject.toml, or write to another folder"
        )


def _refuse_to_replace(folder: Path, model: str, dataset: str, manifest: dict[str, Any]) -> None:
    entry = manifest["traces"].get(f"{model}/{dataset}")
    files = [folder / model / f"{dataset}.{suffix}" for suffix in ("npy", "npz")]
    present = next((path for path in files if path.exists()), None)
    if entry is not None and not str(entry.get("origin")).startswith(GENERATED):
        raise TraceError(f"{model}/{dataset} was not generated and is not replaced; choose another --dataset")
    if entry is None and present:
        raise TraceError(f"{present} is not in {MANIFEST} and may be a recording; move it away")


def _write_array(file: IO[bytes], values: np.ndarray) -> None:
    np.lib.format.write_array(file, np.ascontiguousarray(values), allow_pickle=False)


def _dataset(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a plain name of letters, digits, '.', '_' and '-'")
    return text


def _integer_from(smallest: int) -> Callable[[str], int]:
    def integer(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not an integer") from None
        if value < smallest:
            raise argparse.ArgumentTypeError(f"{value} is less than {smallest}")
        return value

    return integer


if __name__ == "__main__":
    sys.exit(main())
