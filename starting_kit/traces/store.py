"""Finished units: what was measured, each in a file of its own, found again by all that it was made of.

A unit's file is named after the hash of `made_of`, which it holds beside the result, so that a reader sees it.
Whatever changes a result must be in `made_of`: then nothing that is kept is ever wrong, only no longer looked for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from placement.traces.whole_file import write_whole

MadeOf = Mapping[str, Any]
# One more whenever a file must be read otherwise.
UNIT_FORMAT = 1
DIGITS = 24


def once(folder: Path | None, made_of: MadeOf, measure: Callable[[], Any]) -> Any:
    """The unit's result: the kept one, or what `measure` returns, which is then kept; folder None: nothing is kept.

    The result comes as JSON has it (lists, no tuples) in either case. Raises OSError, and what `measure` raises.
    """
    found = find(folder, made_of) if folder else None
    if found is not None:
        return found
    result = measure()
    return keep(folder, made_of, result) if folder else json.loads(_text(result))


def find(folder: Path, made_of: MadeOf) -> Any | None:
    """The result that was kept, or None: a file that is damaged is as good as none."""
    try:
        unit = json.loads(path_of(folder, made_of).read_bytes())
        whole = unit["sha256"] == _sha256(_text(unit["result"])) and _text(unit["made_of"]) == _text(made_of)
        return unit["result"] if whole and unit["format"] == UNIT_FORMAT else None
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def keep(folder: Path, made_of: MadeOf, result: Any) -> Any:
    """Write the unit whole or not at all, and return its result as JSON has it. Raises OSError."""
    text = _text(result)
    unit = {"format": UNIT_FORMAT, "made_of": made_of, "result": result, "sha256": _sha256(text)}
    write_whole(path_of(folder, made_of), (json.dumps(unit, indent=1, sort_keys=True) + "\n").encode("ascii"))
    return json.loads(text)


def path_of(folder: Path, made_of: MadeOf) -> Path:
    """Where the unit is kept."""
    return folder / f"{_sha256(_text(made_of))[:DIGITS]}.json"


def _text(content: Any) -> str:
    # The order of keys says nothing.
    return json.dumps(content, sort_keys=True, allow_nan=False)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("ascii")).hexdigest()
