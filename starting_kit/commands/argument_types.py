"""Types of command-line arguments that argparse has not: each raises ArgumentTypeError with its reason."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable

# Four digits: a typing error must not become a million numbers.
LAYERS = re.compile(r"(\d{1,4})(?:-(\d{1,4}))?")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def plain_name(text: str) -> str:
    """A model's or dataset's name, which becomes part of a path."""
    if not NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a plain name of letters, digits, '.', '_' and '-'")
    return text


def layer_numbers(text: str) -> tuple[int, ...]:
    """A model's layers in ascending order, such as 3-60 or 1,3,5."""
    numbers: list[int] = []
    for part in text.split(","):
        if not (match := LAYERS.fullmatch(part.strip())):
            raise argparse.ArgumentTypeError(f"{text!r} is no list of layers such as 3-60 or 1,3,5")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first or (numbers and first <= numbers[-1]):
            raise argparse.ArgumentTypeError(f"{text!r} does not ascend")
        numbers += range(first, last + 1)
    return tuple(numbers)


def integer_from(smallest: int) -> Callable[[str], int]:
    """An integer that is not less than `smallest`."""

    def integer(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not an integer") from None
        if value < smallest:
            raise argparse.ArgumentTypeError(f"{value} is less than {smallest}")
        return value

    return integer
