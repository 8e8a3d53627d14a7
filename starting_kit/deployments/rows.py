"""The content of a placement file, before layers and devices are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from placement.errors import Problem


@dataclass(frozen=True, eq=False)
class Rows:
    """The slots of each row, those of a device side by side: int64 [row, slot] -> expert.

    form: the name of the file's form; layers: the model's layer number of each row, None where the file does not say,
    and the rows are the layers with experts, in order; devices: None where the file does not say; shared: whether its
    one row is every layer's; where: the file's name, for errors.
    """

    slots: np.ndarray
    form: str
    layers: tuple[int, ...] | None = None
    devices: int | None = None
    shared: bool = False
    where: str = ""

    def at(self, place: str) -> Rows:
        """The same with the file's name."""
        return replace(self, where=place)


def slots_of(value: Any, what: str) -> np.ndarray:
    """Lists of integers, all of one length, as int64 [row, slot]. Raises Problem.

    what: what the file calls them.
    """
    if not isinstance(value, list) or not value or not all(isinstance(row, list) for row in value):
        raise wrong(f"{what} is no list of lists", type(value).__name__, "a list of expert ids for each layer")
    lengths = {len(row) for row in value}
    if len(lengths) > 1 or not min(lengths):
        got = f"{min(lengths)} and {max(lengths)} slots" if len(lengths) > 1 else "no slot"
        raise wrong(f"{what} has layers of several sizes" if len(lengths) > 1 else f"{what} is empty", got, "one size")
    for layer, row in enumerate(value):
        check_ids(row, f"row {layer} of {what}")
    return np.array(value, np.int64)


def check_ids(ids: Sequence[Any], what: str) -> None:
    """Raise Problem unless these are expert ids."""
    for expert in ids:
        if type(expert) is not int or not 0 <= expert < 2**31:
            raise wrong(f"{what} holds no expert id", repr(expert)[:40], "an integer from 0 in every slot")


def wrong(what: str, got: str, expected: str, next_step: str = "write the file again") -> Problem:
    """The error of a file's content."""
    return Problem(what, got, expected, next_step)
