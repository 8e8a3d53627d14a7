"""JSON lines: an object on each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from placement.errors import OrganizerError

from .file_errors import kind_of


def objects_in(path: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """Each line's object with its place in words; empty lines are left out. Raises OrganizerError for another line."""
    with open(path, "rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                where = f"{path.name}, line {number}"
                yield _object_of(line, where), where


def _object_of(line: bytes, where: str) -> dict[str, Any]:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _wrong("the line is not JSON", str(error), "an object", where) from None
    if not isinstance(fields, dict):
        raise _wrong("the line has the wrong form", kind_of(fields), "an object", where)
    return fields


def whole_number(fields: dict[str, Any], key: str, where: str) -> int:
    """An integer from 0 of a line's object. Raises OrganizerError."""
    value = fields[key]
    # A boolean is an int to Python, but no number here.
    if type(value) is not int or value < 0:
        raise _wrong(f"{key} is no number", repr(value)[:60], "an integer from 0", where)
    return value


def _wrong(what: str, got: str, expected: str, where: str) -> OrganizerError:
    return OrganizerError(what, got, expected, "correct the line, or record again", where)
