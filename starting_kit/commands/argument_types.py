"""Types of command-line arguments that argparse has not: each raises ArgumentTypeError with its reason."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def plain_name(text: str) -> str:
    """A model's or dataset's name, which becomes part of a path."""
    if not NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a plain name of letters, digits, '.', '_' and '-'")
    return text


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
