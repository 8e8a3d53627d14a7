"""The model's numbers of a trace's layers: from --layers, or from the traces' manifest."""

from __future__ import annotations

import argparse
from pathlib import Path

from placement.grid import Case
from traces.manifest import MANIFEST, read_manifest

from .argument_types import layer_numbers
from .options import UsageError


def add_layers(parser: argparse.ArgumentParser, where: str = "") -> None:
    """Declare --layers; where: the option that --layers goes with."""
    parser.add_argument(
        "--layers",
        type=layer_numbers,
        metavar="N-N",
        help=f"{where}the model's layer numbers of the trace's layers, such as 3-60 where the model begins with three "
        f"dense layers (default: the numbers in the traces' {MANIFEST})",
    )


def numbers_of(case: Case, traces: Path, named: tuple[int, ...] | None) -> tuple[int, ...] | None:
    """The model's layer number of each of the case's layers; None where no numbers are known. Raises UsageError."""
    entry = read_manifest(traces)["traces"].get(f"{case.model}/{case.dataset}", {})
    numbers, option = named or entry.get("layers"), "--layers"
    if numbers is None:
        return None
    if not named:
        option = f"`layers` of {traces / MANIFEST}"
    whole = isinstance(numbers, (list, tuple)) and all(type(number) is int and number >= 0 for number in numbers)
    if not whole or len(numbers) != case.layers or list(numbers) != sorted(set(numbers)):
        got = f"{len(numbers)} numbers" if whole else f"{numbers!r:.60}"
        expected = f"{case.layers} layer numbers, ascending, one for each of the trace's layers"
        next_step = "correct --layers" if named else "correct the manifest, or give --layers"
        raise UsageError(f"{option} does not fit", got, expected, next_step, case.name)
    return tuple(numbers)
