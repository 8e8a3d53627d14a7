"""Errors of files, and the sentence that states a failure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

FIELDS = ("where", "what", "got", "expected", "next")
LABELS = {"got": "Got", "expected": "Expected", "next": "Next"}
EXIT_CODES = {"failed": 1, "refused": 1, "data_unavailable": 2}


class FileError(Exception):
    """A file that cannot be scored. status: the submission's status on the page, one of EXIT_CODES.

    `failed`: the results are broken. `refused`: the results are not those of this run. `data_unavailable`: the
    reference or the worker's record is broken, or results and reference do not belong together.
    """

    def __init__(self, status: str, file: str, what: str, got: Any, expected: str, next_step: str) -> None:
        super().__init__(status, file, what, got, expected, next_step)
        self.status, self.exit_code = status, EXIT_CODES[status]
        self.fields = dict(zip(FIELDS, (file, what, str(got), expected, next_step), strict=True))

    def __str__(self) -> str:
        return sentence(self.fields)


# Makes an error of one file from: what is wrong, got, expected, and a next step where the usual one does not fit.
Wrong = Callable[..., FileError]


def sentence(fields: Mapping[str, str], place: str = "") -> str:
    """The sentence of a failure's fields; empty fields are left out; place: what `where` lies in."""
    where = ", ".join(text for text in (place, fields["where"]) if text)
    parts = [fields["what"], *(f"{label}: {fields[name]}" for name, label in LABELS.items() if fields[name])]
    return (f"{where}: " if where else "") + ". ".join(parts) + "."


def alike(failures: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """The rows with the same `status` and the same `failure`, together, in order of the first."""
    groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for row in failures:
        groups.setdefault((row["status"], *(row["failure"][name] for name in FIELDS)), []).append(row)
    return list(groups.values())


def shown(value: Any) -> str:
    """A file's value as JSON text, so "32" and 32 look different; long texts are cut."""
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
