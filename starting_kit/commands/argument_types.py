"""Types of command-line arguments. Each function raises ArgumentTypeError with a reason."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable

# Four digits: a typing error must not become a million numbers.
LAYERS = re.compile(r"(\d{1,4})(?:-(\d{1,4}))?")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def plain_name(text: str) -> str:
    """A name of a model or dataset. The name becomes part of a path."""
    if not NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a plain name of letters, digits, '.', '_' and '-'")
    return text


def layer_numbers(text: str) -> tuple[int, ...]:
    """The model's layer numbers in ascending order, from a text such as 3-60 or 1,3,5."""
    numbers: list[int] = []
    for part in text.split(","):
        if not (match := LAYERS.fullmatch(part.strip())):
            raise argparse.ArgumentTypeError(f"{text!r} is not a list of layers such as 3-60 or 1,3,5")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first or (numbers and first <= numbers[-1]):
            raise argparse.ArgumentTypeError(f"{text!r} is not in ascending order")
        numbers += range(first, last + 1)
    return tuple(numbers)


def integer_from(smallest: int) -> Callable[[str], int]:
    """A type for integers of at least `smallest`."""

    def integer(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not an integer") from None
        if value < smallest:
            raise argparse.ArgumentTypeError(f"{value} is less than {smallest}")
        return value

    return integer
