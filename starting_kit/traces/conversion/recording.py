"""A recording: the content of a dump after reading."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Recording(NamedTuple):
    """hotness: int32 [iteration, layer, expert]; form: the dump's format in words, for the manifest;

    notes: a sentence for each thing that was assumed or left out, for the person who converts; layers: each layer's
    number in the model, None where the dump does not tell.
    """

    hotness: np.ndarray
    form: str
    notes: list[str]
    layers: tuple[int, ...] | None = None


def ranges(numbers: Sequence[int]) -> str:
    """Ascending numbers in words: `0 .. 2, 7`."""
    parts: list[list[int]] = []
    for number in map(int, numbers):
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ", ".join(str(first) if first == last else f"{first} .. {last}" for first, last in parts)


def counted(number: int, noun: str) -> str:
    """A number with its noun: `1 file`, `2 files`, `2 passes`."""
    plural = noun + ("es" if noun.endswith(("s", "ch")) else "s")
    return f"{number} {noun if number == 1 else plural}"
