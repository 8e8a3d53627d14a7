"""What is wrong with a file, and the one sentence that a failure or a file's error is told with."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

FIELDS = ("where", "what", "got", "expected", "next")
LABELS = {"got": "Got", "expected": "Expected", "next": "Next"}
EXIT_CODES = {"failed": 1, "refused": 1, "data_unavailable": 2}


class FileError(Exception):
    """A file that cannot be scored. status: what the page then calls the submission, one of EXIT_CODES.

    `failed`: the results are broken; `refused`: they are not this run's own; `data_unavailable`: the reference or the
    worker's record is broken, or results and reference do not belong together.
    """

    def __init__(self, status: str, file: str, what: str, got: Any, expected: str, next_step: str) -> None:
        super().__init__(status, file, what, got, expected, next_step)
        self.status, self.exit_code = status, EXIT_CODES[status]
        self.fields = dict(zip(FIELDS, (file, what, str(got), expected, next_step), strict=True))

    def __str__(self) -> str:
        return sentence(self.fields)


# Makes the error of one file from what is wrong, what was got, what was expected, and a next step other than the usual.
Wrong = Callable[..., FileError]


def sentence(fields: Mapping[str, str], place: str = "") -> str:
    """A failure's fields as they are printed, without those that are empty; place: what `where` lies in."""
    where = ", ".join(text for text in (place, fields["where"]) if text)
    parts = [fields["what"], *(f"{label}: {fields[name]}" for name, label in LABELS.items() if fields[name])]
    return (f"{where}: " if where else "") + ". ".join(parts) + "."


def shown(value: Any) -> str:
    """A value from a file as JSON, so that "32" and 32 look different; cut when long."""
    try:
        text = json.dumps(value)
    except RecursionError:
        return "too many nested lists or objects"
    return text if len(text) <= 200 else f"{text[:200]}..."


def reason(error: OSError) -> str:
    """Why a file cannot be read."""
    if error.strerror is None:
        return str(error)
    return "no such file" if isinstance(error, FileNotFoundError) else f"{type(error).__name__}: {error.strerror}"
