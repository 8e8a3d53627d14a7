"""What the platform makes of scores.json: a row of the leaderboard, or nothing."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from placement.errors import OrganizerError
from scores.table import aligned

# What the platform's DecimalField(20, 10) cannot hold.
LARGEST = 1e10
NEXT_STEP = "correct the scoring program"


def read_scores(path: Path, columns: list[dict[str, Any]]) -> dict[str, float]:
    """The scores of all columns. Raises OrganizerError for what the platform drops or puts first in silence."""
    try:
        scores = json.loads(path.read_bytes())
    except OSError:
        raise _wrong("Could not find scores file", "no scores.json", "scores.json in the output") from None
    except ValueError as error:
        raise _wrong("scores.json cannot be decoded", error, "JSON") from None
    if not isinstance(scores, dict):
        raise _wrong("scores.json is not an object", type(scores).__name__, "a flat object of numbers")
    for name, value in scores.items():
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or abs(value) >= LARGEST:
            raise _wrong(f"scores.json: {name}", repr(value), f"a finite number below {LARGEST:g}")
    if missing := [column["key"] for column in columns if column["key"] not in scores]:
        raise _wrong("scores.json lacks columns", ", ".join(missing), "all columns of the leaderboard")
    return scores


def row(scores: dict[str, float], columns: list[dict[str, Any]], primary: object) -> list[str]:
    """The leaderboard's heading and row as lines, in its order and rounded as it shows them."""
    ordered = sorted(columns, key=lambda column: column["index"])
    shown = [f"{scores[column['key']]:.{column.get('precision', 2)}f}" for column in ordered]
    lines = aligned([column["title"] for column in ordered], [shown]).splitlines()
    ranks = next((column for column in ordered if column["index"] == primary), None)
    if ranks is not None:
        first = "the lowest" if ranks.get("sorting", "desc") == "asc" else "the highest"
        lines.append(f"ranked by {ranks['title']}, {first} first")
    return lines


def _wrong(what: str, got: object, expected: str) -> OrganizerError:
    return OrganizerError(what, str(got), expected, NEXT_STEP)
