"""`convert`: make a trace from a serving engine's dump."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from placement.errors import OrganizerError
from traces.conversion.axis_order import sizes_in_words
from traces.conversion.counts import AXES
from traces.conversion.destination import origin_of, refuse_recording, write_recording
from traces.conversion.inputs import unread
from traces.conversion.iterations import differences, divided, summed, without_empty
from traces.conversion.layers import numbered
from traces.conversion.recording import Recording, counted
from traces.conversion.suspicions import suspicions
from traces.trace_file import SMALLEST_TRACE

from .argument_types import integer_from, layer_numbers, plain_name
from .dump_forms import FORMATS, IN_FLIGHT, OPTIONS, Format, flag, guessed_form, with_other_form
from .named_paths import check_output

CHANGES = ("differences", "drop_empty", "divide", "sum", "layers")


def add_convert(commands: Any) -> None:
    """Declare the command `convert`."""
    parser = commands.add_parser(
        "convert",
        help="make a trace from a serving engine's dump",
        description="Convert the dump of a serving engine into a trace, and list the trace in the output folder's\n"
        "manifest.yaml. starting_kit/traces/conversion/README.md describes the forms of dumps and how\n"
        "the traps of each form are handled.",
        epilog="examples:\n"
        "  python starting_kit/kit.py convert --from sglang dumps --output traces --model DS-R1 --dataset chat \\\n"
        "      --licence CC-BY-4.0\n"
        "  python starting_kit/kit.py convert --from npy counts.npy --axes layer,iteration,expert --output traces \\\n"
        "      --model Qwen3 --dataset chat --licence CC-BY-4.0",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("inputs", nargs="+", type=Path, metavar="FILE", help="dump files, or folders of dump files")
    parser.add_argument(
        "--from", dest="form", choices=FORMATS, help="form of the dump (default: the form that the files fit)"
    )
    parser.add_argument("--output", required=True, type=Path, metavar="FOLDER", help="folder for the trace")
    parser.add_argument("--model", required=True, type=plain_name, metavar="NAME", help="the model's name in the grid")
    parser.add_argument(
        "--dataset", required=True, type=plain_name, metavar="NAME", help="the dataset's name in the grid"
    )
    parser.add_argument("--licence", required=True, type=_text, metavar="TEXT", help="licence of the recording")
    parser.add_argument(
        "--source", type=_text, metavar="TEXT", help="what was recorded, for the manifest (default: the input's name)"
    )
    parser.add_argument("--replace", action="store_true", help="replace a trace that was converted before")
    _add_changes(parser)
    _add_options_of_forms(parser)
    parser.set_defaults(run=run_convert)


def _add_changes(parser: argparse.ArgumentParser) -> None:
    """Declare the options of every form, in the order in which they are applied."""
    parser.add_argument(
        "--differences",
        action="store_true",
        help="the dump holds running totals: take the differences of neighbouring rows",
    )
    parser.add_argument("--drop-empty", action="store_true", help="leave out iterations without tokens")
    parser.add_argument(
        "--divide", type=integer_from(2), metavar="N", help="every token was counted N times: divide all counts by N"
    )
    parser.add_argument(
        "--sum",
        type=integer_from(2),
        metavar="K",
        help="add up every K iterations in a row, where single iterations are sparse",
    )
    parser.add_argument(
        "--layers",
        type=layer_numbers,
        metavar="NUMBERS",
        help="the model's number of each layer, as 3-60 or 0,4,5, where the dump does not state it (kept in the "
        "manifest)",
    )


def _add_options_of_forms(parser: argparse.ArgumentParser) -> None:
    order = parser.add_mutually_exclusive_group()
    order.add_argument(
        "--oldest",
        type=integer_from(0),
        metavar="N",
        help="sglang, mode stat: index of the oldest row of the ring, from 0",
    )
    order.add_argument(
        "--as-is", action="store_true", help="sglang, mode stat: the rows of the file are in order of time"
    )
    parser.add_argument(
        "--skip-incomplete",
        action="store_true",
        help="sglang, trtllm, mindie, omni, megatron, steps: leave out passes that a rank did not record",
    )
    parser.add_argument(
        "--experts",
        type=integer_from(1),
        metavar="N",
        help="number of the model's logical experts: required for vllm, megatron and steps; optional for csv, "
        "vllm-ascend, mindie and omni",
    )
    parser.add_argument(
        "--map",
        type=Path,
        metavar="FILE",
        help="vllm-ascend, mindie, omni: the deployment while recording, a placement file of any form of export",
    )
    parser.add_argument(
        "--in-flight",
        type=integer_from(1),
        metavar="N",
        help=f"vllm: number of requests at the same time (default: {IN_FLIGHT})",
    )
    parser.add_argument(
        "--prompt",
        type=integer_from(1),
        metavar="N",
        help="vllm: number of tokens of prompts whose length no file states",
    )
    parser.add_argument(
        "--top-k", type=integer_from(1), metavar="N", help="vllm: experts per token, for SGLang's answers in base64"
    )
    parser.add_argument(
        "--latest",
        action="store_true",
        help="vllm-load: take the load of each snapshot's last step, not of the snapshot's window",
    )
    parser.add_argument(
        "--map-before", action="store_true", help="vllm-load: fold each snapshot with the map of the snapshot before"
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
        help="sglang, vllm: also read .npz and .npy files with pickled objects. Such a file can run any code on this "
        "machine under your account when it is opened. Use this only for files that you made yourself or whose "
        "maker you trust",
    )


def run_convert(options: argparse.Namespace) -> int:
    """Write `<output>/<model>/<dataset>.npy` and the manifest entry, print what was done, and return exit code 0.

    Raises OrganizerError and OSError; nothing is written then.
    """
    check_output("--output", options.output)
    stated = options.form is not None
    if not stated:
        options.form, because = guessed_form(options)
        print(f"Read as {options.form}, because {because}", flush=True)
    form = FORMATS[options.form]
    for option in OPTIONS:
        value = getattr(options, option)
        if option not in form.options and value is not None and value is not False:
            raise _wrong(f"{flag(option)} is not an option of --from {options.form}", flag(option), "no such option")
    name = f"{options.model}/{options.dataset}"
    refuse_recording(options.output, name, options.replace)
    try:
        read = form.read(options)
    except OrganizerError as error:
        raise (with_other_form(error, options) if stated else error) from error.__cause__
    recording = numbered(_changed(read, options), options.layers)
    hotness = recording.hotness
    if len(hotness) < SMALLEST_TRACE:
        got = counted(len(hotness), "iteration")
        raise _wrong(
            "the recording is too short", got, f"at least {SMALLEST_TRACE} iterations", "record more, or correct --from"
        )
    if not hotness.any():
        raise _wrong("the recording holds no tokens", "zeros", "a recording", "record again")
    source = options.source or options.inputs[0].resolve().name
    notes = [*recording.notes, *unread(options.inputs), *suspicions(recording, options.sum or 1)]
    more = {} if recording.layers is None else {"layers": [int(number) for number in recording.layers]}
    more |= {"notes": notes, "options": _used(options, form)}
    path = write_recording(options.output, name, hotness, origin_of(source, recording.form), options.licence, more)
    print(f"{path}: {sizes_in_words(hotness.shape)}, {path.stat().st_size / 1e6:.1f} MB")
    for note in notes:
        print(f"note: {note}")
    return 0


def _changed(recording: Recording, options: argparse.Namespace) -> Recording:
    """The recording after the changes that the options ask for. Raises OrganizerError where a change does not fit."""
    if options.differences:
        recording = differences(recording)
    if options.drop_empty:
        recording = without_empty(recording)
    if options.divide:
        recording = divided(recording, options.divide)
    return summed(recording, options.sum) if options.sum else recording


def _used(options: argparse.Namespace, form: Format) -> dict[str, Any]:
    """The options that decided the trace's content, for the manifest."""
    given = {name: getattr(options, name) for name in (*form.options, *CHANGES)}
    used = {"from": options.form}
    for name, value in given.items():
        if value is not None and value is not False:
            plain = ",".join(map(str, value)) if isinstance(value, tuple) else value
            used[flag(name).removeprefix("--")] = str(plain) if isinstance(plain, Path) else plain
    return used


def _wrong(what: str, got: str, expected: str, next_step: str = "leave the option out") -> OrganizerError:
    return OrganizerError(what, got, expected, next_step, "convert")


def _text(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("the text is empty")
    return text.strip()


def _axes(text: str) -> tuple[str, ...]:
    axes = tuple(text.split(","))
    if sorted(axes) != sorted(AXES):
        raise argparse.ArgumentTypeError(f"{text!r} is not {', '.join(AXES)} in some order, with commas")
    return axes
