"""Checks of a grid file's values; each error names the place of the wrong value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from .errors import OrganizerError

# By the beginning and the end of a place. Of limits eleven days, and 4 TiB: clocks and limits of the system's take no
# more than a few times that.
MOST = {
    ("limits.", "_seconds"): 10**6,
    ("limits.", "_bytes"): 2**42,
    ("window", ""): 10**6,
    ("latency", ""): 10**6,
    ("container_seconds", ""): 10**6,
    ("models.", ".layers"): 10**4,
    ("models.", ".experts"): 2**16,
}
ANY = 2**63 - 1
LONGEST_VALUE = 500


def wrong(place: str, got: Any, expected: str) -> OrganizerError:
    """The error for a value at a place of the grid file."""
    return OrganizerError(
        f"{place} is not valid", got=_shown(got), expected=expected, next_step="correct the grid file", where="grid"
    )


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:
        # Python writes no integer of thousands of digits.
        return "an integer of too many digits"
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}..."


def checked_keys(
    value: Any, names: tuple[str, ...], place: str, optional: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The values of a mapping's keys in the order of `names`; optional: default values of keys that may be missing.

    Raises OrganizerError.
    """
    optional = optional or {}
    words = ", ".join(name for name in names if name not in optional)
    words += f", and optionally {', '.join(optional)}" if optional else ""
    if not isinstance(value, Mapping):
        raise wrong(place, value, f"a mapping with the keys {words}")
    complete = {**optional, **value}
    if set(complete) != set(names):
        got = sorted(key if isinstance(key, str) else _shown(key) for key in value)
        parts = {
            "missing": [name for name in names if name not in complete],
            "unknown": sorted(_shown(key) for key in value if key not in names),
        }
        why = "".join(f"; {word}: {', '.join(keys)}" for word, keys in parts.items() if keys)
        raise wrong(place, got, f"exactly the keys {words}{why}")
    return {name: complete[name] for name in names}


def checked_numbers(kind: Any, value: Any, place: str) -> Any:
    """An object of a dataclass whose fields are all numbers. Raises OrganizerError."""
    names = tuple(field.name for field in fields(kind))
    values = checked_keys(value, names, place)
    kinds = {field.name: int if field.type == "int" else float for field in fields(kind)}
    return kind(**{name: checked_number(values[name], f"{place}.{name}", kinds[name], least=1) for name in names})


def checked_number(value: Any, place: str, kind: type, least: int) -> Any:
    """A number of a kind, int or float, from `least` to the largest value allowed at its place. Raises
    OrganizerError.
    """
    kinds = int if kind is int else (int, float)
    found = (most for (begin, end), most in MOST.items() if place.startswith(begin) and place.endswith(end))
    most = next(found, ANY)
    # The upper bound refuses NaN and infinity too.
    if not isinstance(value, kinds) or isinstance(value, bool) or not least <= value <= most:
        words = "an integer" if kind is int else "a number"
        raise wrong(
            place, value, f"{words} of at least {least} and {'less than 2^63' if most == ANY else f'at most {most}'}"
        )
    return kind(value)


def checked_name(value: Any, place: str) -> str:
    """A name that is not a path. Raises OrganizerError."""
    # A name becomes part of a path, so it must not climb out of the traces' folder.
    if not isinstance(value, str) or not value or value.startswith(".") or set(value) & set("/\\\0"):
        raise wrong(place, value, "a name without slashes or a leading dot")
    return value
