"""The forms of dumps that `convert` reads: for each form, the reader and the options."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from deployments.forms import read_placement
from placement.errors import OrganizerError, Problem
from traces.conversion.adrs import read_adrs
from traces.conversion.ascend import read_ascend
from traces.conversion.atom import read_atom
from traces.conversion.axis_order import Size
from traces.conversion.count_table import read_table
from traces.conversion.counts import AXES
from traces.conversion.guess import guesses
from traces.conversion.megatron import read_megatron
from traces.conversion.mindie import read_mindie
from traces.conversion.omni import read_omni
from traces.conversion.plain_array import read_array
from traces.conversion.recording import Recording
from traces.conversion.routed_tokens import Stated
from traces.conversion.sglang import read_sglang
from traces.conversion.steps import read_steps
from traces.conversion.trtllm import read_trtllm
from traces.conversion.vllm import read_vllm
from traces.conversion.vllm_load import read_vllm_load

from .places import GRIDS
from .selection import read_grid

IN_FLIGHT = 32
# How errors begin that say the files have nothing of the stated form. After another error the form may well be right.
OTHER_FORM = (
    "there is nothing to convert in",
    "the file holds no requests of a known form",
    "the file does not say which array is the hotness",
    "the file's form is not read",
    "a key is missing",
)


class Format(NamedTuple):
    """A form of dump: how the form is read, and the options that only some forms have."""

    read: Callable[[argparse.Namespace], Recording]
    options: tuple[str, ...]


FORMATS = {
    "sglang": Format(
        lambda o: read_sglang(o.inputs, o.oldest, o.as_is, o.skip_incomplete, o.allow_pickle),
        ("oldest", "as_is", "skip_incomplete", "allow_pickle"),
    ),
    "vllm": Format(
        lambda o: read_vllm(o.inputs, _needed(o, "experts"), o.in_flight or IN_FLIGHT, _stated(o)),
        ("experts", "in_flight", "prompt", "top_k", "allow_pickle"),
    ),
    "vllm-load": Format(lambda o: read_vllm_load(o.inputs, o.latest, o.map_before), ("latest", "map_before")),
    "adrs": Format(lambda o: read_adrs(o.inputs), ()),
    "trtllm": Format(lambda o: read_trtllm(o.inputs, o.skip_incomplete), ("skip_incomplete",)),
    "vllm-ascend": Format(lambda o: read_ascend(o.inputs, _table(o), o.experts), ("map", "experts")),
    "mindie": Format(
        lambda o: read_mindie(o.inputs, _table(o), o.experts, _layer_count(o), o.skip_incomplete),
        ("map", "experts", "skip_incomplete"),
    ),
    "omni": Format(
        lambda o: read_omni(o.inputs, _table(o), o.experts, o.skip_incomplete), ("map", "experts", "skip_incomplete")
    ),
    "megatron": Format(
        lambda o: read_megatron(o.inputs, _needed(o, "experts"), o.skip_incomplete), ("experts", "skip_incomplete")
    ),
    "atom": Format(lambda o: read_atom(o.inputs), ()),
    "steps": Format(
        lambda o: read_steps(o.inputs, _needed(o, "experts"), o.skip_incomplete), ("experts", "skip_incomplete")
    ),
    "csv": Format(lambda o: read_table(o.inputs, o.experts), ("experts",)),
    "npy": Format(lambda o: read_array(o.inputs, o.axes or AXES, o.drop_dense, _size(o.model)), ("axes", "drop_dense")),
}
OPTIONS = tuple(dict.fromkeys(option for form in FORMATS.values() for option in form.options))


def guessed_form(options: argparse.Namespace) -> tuple[str, str]:
    """The one form that the inputs can have and that takes all given options, and the reason.

    Raises OrganizerError where no form or several forms remain.
    """
    given = [option for option in OPTIONS if getattr(options, option) not in (None, False)]
    found = [guess for guess in guesses(options.inputs) if guess.form in FORMATS]
    fitting = [guess for guess in found if set(given) <= set(FORMATS[guess.form].options)]
    if len(fitting) == 1:
        return fitting[0]
    if not found:
        got, next_step = "no file of a known form", f"give --from, one of {', '.join(FORMATS)}"
        expected = "a form listed in starting_kit/traces/conversion/README.md"
        raise OrganizerError("the form of the dump is not known", got, expected, next_step, "input")
    got = "; ".join(f"{guess.form}, because {guess.because}" for guess in fitting or found)
    if not fitting:
        options_given = " and ".join(map(flag, given))
        expected, next_step = f"a form that takes {options_given}", "leave these options out"
        what = f"the dump's form does not take {options_given}"
        raise OrganizerError(what, got, expected, next_step, "input")
    next_step = "give --from " + " or --from ".join(guess.form for guess in fitting)
    raise OrganizerError("the dump can have several forms", got, "one form", next_step, "input")


def with_other_form(error: OrganizerError, options: argparse.Namespace) -> OrganizerError:
    """The error of a form that --from stated. Its next step names the form of the files where that is another one."""
    if not error.what.startswith(OTHER_FORM):
        return error
    try:
        found = guesses(options.inputs)
    except OrganizerError:
        return error
    if found and options.form not in {guess.form for guess in found}:
        other = "; ".join(f"{guess.form}, because {guess.because}" for guess in found)
        error.next_step += f"; or correct --from: the dump looks like {other}"
    return error


def flag(option: str) -> str:
    """The option of the command line for a name in the program."""
    return f"--{option.replace('_', '-')}"


def _needed(options: argparse.Namespace, option: str) -> Any:
    value = getattr(options, option)
    if value is None:
        what, next_step = f"--from {options.form} needs {flag(option)}", f"give {flag(option)} N"
        raise OrganizerError(what, "none", "a number", next_step, "convert")
    return value


def _table(options: argparse.Namespace) -> np.ndarray | None:
    """The deployment while recording, int64 [layer, slot], from a placement file of any engine.

    Of a file with the model's layer numbers, only the rows that --layers names are returned, where --layers is given.
    """
    if options.map is None:
        return None
    try:
        rows = read_placement(options.map)
        if rows.layers is None or not options.layers or not set(options.layers) <= set(rows.layers):
            return rows.slots
        return rows.slots[[rows.layers.index(number) for number in options.layers]]
    except Problem as problem:
        raise OrganizerError(problem.what, problem.got, problem.expected, problem.next_step, options.map.name) from None


def _layer_count(options: argparse.Namespace) -> int | None:
    """How many layers --layers names."""
    return len(options.layers) if options.layers else None


def _stated(options: argparse.Namespace) -> Stated:
    count = _layer_count(options)
    return Stated(options.prompt, options.top_k, allow_pickle=options.allow_pickle, layer_count=count)


def _size(model: str) -> Size | None:
    """A model's (layers, experts) in the official grid; None for another model."""
    sizes = (Size(case.model, case.layers, case.experts) for case in read_grid(GRIDS["official"]).cases)
    return next((size for size in sizes if size.model == model), None)
