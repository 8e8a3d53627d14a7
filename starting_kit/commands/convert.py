"""`convert`: make a trace of a serving engine's dump."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from placement.errors import OrganizerError
from traces.conversion.axis_order import sizes_in_words
from traces.conversion.counts import AXES
from traces.conversion.destination import origin_of, refuse_recording, write_recording
from traces.conversion.recording import counted
from traces.trace_file import SMALLEST_TRACE

from .argument_types import integer_from, plain_name
from .dump_forms import FORMATS, IN_FLIGHT, OPTIONS, flag
from .named_paths import check_output


def add_convert(commands: Any) -> None:
    """Declare `convert` on the subparsers of the command line."""
    parser = commands.add_parser(
        "convert",
        help="make a trace of a serving engine's dump",
        description="Convert what a serving engine recorded into a trace, and list it in the output folder's\n"
        "manifest.yaml. starting_kit/traces/conversion/README.md describes the forms, and what is done about\n"
        "their traps.",
        epilog="examples:\n"
        "  python starting_kit/kit.py convert --from sglang dumps --output traces --model DS-R1 --dataset chat \\\n"
        "      --licence CC-BY-4.0\n"
        "  python starting_kit/kit.py convert --from npy counts.npy --axes layer,iteration,expert --output traces \\\n"
        "      --model Qwen3 --dataset chat --licence CC-BY-4.0",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("inputs", nargs="+", type=Path, metavar="FILE", help="dump files, or folders of them")
    parser.add_argument("--from", dest="form", required=True, choices=FORMATS, help="form of the dump")
    parser.add_argument("--output", required=True, type=Path, metavar="FOLDER", help="folder of the traces")
    parser.add_argument("--model", required=True, type=plain_name, metavar="NAME", help="as the grid calls it")
    parser.add_argument("--dataset", required=True, type=plain_name, metavar="NAME", help="as the grid calls it")
    parser.add_argument("--licence", required=True, type=_text, metavar="TEXT", help="licence of the recording")
    parser.add_argument(
        "--source", type=_text, metavar="TEXT", help="what was recorded, for the manifest (default: the input's name)"
    )
    parser.add_argument("--replace", action="store_true", help="replace a trace that was converted before")
    _add_options_of_forms(parser)
    parser.set_defaults(run=run_convert)


def _add_options_of_forms(parser: argparse.ArgumentParser) -> None:
    order = parser.add_mutually_exclusive_group()
    order.add_argument(
        "--oldest", type=integer_from(0), metavar="N", help="sglang, mode stat: index of the ring's oldest row, from 0"
    )
    order.add_argument("--as-is", action="store_true", help="sglang, mode stat: the file's rows are in order of time")
    parser.add_argument(
        "--skip-incomplete", action="store_true", help="sglang: leave out passes that a rank did not record"
    )
    parser.add_argument(
        "--experts", type=integer_from(1), metavar="N", help="vllm, required: logical experts of the model"
    )
    parser.add_argument(
        "--in-flight", type=integer_from(1), metavar="N", help=f"vllm: requests at once (default: {IN_FLIGHT})"
    )
    parser.add_argument(
        "--prompt", type=integer_from(1), metavar="N", help="vllm: tokens of the prompts whose length no file tells"
    )
    parser.add_argument(
        "--top-k", type=integer_from(1), metavar="N", help="vllm: experts of a token, for SGLang's answers in base64"
    )
    parser.add_argument(
        "--axes",
        type=_axes,
        metavar="A,B,C",
        help=f"npy: order of the array's axes (default: {','.join(AXES)})",
    )
    parser.add_argument("--drop-dense", action="store_true", help="npy: leave out layers that never have a token")
    parser.add_argument(
        "--allow-pickle",
        action="store_true",
        help="sglang, vllm: also read .npz and .npy with pickled objects. Such a file can run any code on this"
        " machine, as you, when it is opened: only for files that you made yourself or whose maker you trust",
    )


def run_convert(options: argparse.Namespace) -> int:
    """Write `<output>/<model>/<dataset>.npy` and its manifest entry, and print what was done; returns exit code 0.

    Raises OrganizerError and OSError; nothing is written then.
    """
    check_output("--output", options.output)
    form = FORMATS[options.form]
    for option in OPTIONS:
        value = getattr(options, option)
        if option not in form.options and value is not None and value is not False:
            raise _wrong(f"{flag(option)} is not an option of --from {options.form}", "it", "no such option")
    name = f"{options.model}/{options.dataset}"
    refuse_recording(options.output, name, options.replace)
    recording = form.read(options)
    hotness = recording.hotness
    if len(hotness) < SMALLEST_TRACE:
        got = counted(len(hotness), "iteration")
        raise _wrong("the recording is too short", got, f"at least {SMALLEST_TRACE} iterations", "record more")
    idle = int((~hotness.any(axis=(1, 2))).sum())
    if idle == len(hotness):
        raise _wrong("no token is in the recording", "zeros", "a recording", "record again")
    source = options.source or options.inputs[0].resolve().name
    path = write_recording(options.output, name, hotness, origin_of(source, recording.form), options.licence)
    print(f"{path}: {sizes_in_words(hotness.shape)}, {path.stat().st_size / 1e6:.1f} MB")
    notes = list(recording.notes)
    if idle:
        notes.append(f"{counted(idle, 'iteration')} without a token kept: a run takes every expert there as one token")
    notes += _about_zeros(hotness)
    for note in notes:
        print(f"note: {note}")
    return 0


def _about_zeros(hotness: np.ndarray) -> list[str]:
    """A note where the ones that a run puts in the place of zeros are a tenth of the tokens, or more."""
    zeros, tokens = hotness.size - int(np.count_nonzero(hotness)), int(hotness.sum(dtype=np.int64))
    if 10 * zeros < tokens:
        return []
    return [
        f"{zeros / hotness.size:.0%} of the counts are zero; a run takes each as one token, which adds"
        f" {zeros / tokens:.0%} to the load: the PAR (peak-to-average ratio) of such a trace is not the recording's,"
        " record more tokens at a time"
    ]


def _wrong(what: str, got: str, expected: str, next_step: str = "leave it out") -> OrganizerError:
    return OrganizerError(what, got, expected, next_step, "convert")


def _text(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty")
    return text.strip()


def _axes(text: str) -> tuple[str, ...]:
    axes = tuple(text.split(","))
    if sorted(axes) != sorted(AXES):
        raise argparse.ArgumentTypeError(f"{text!r} is not {', '.join(AXES)} in some order, with commas")
    return axes
