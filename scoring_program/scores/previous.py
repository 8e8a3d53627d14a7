"""An earlier run on the same cases and traces. The page shows what changed since that run."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from .authenticity import LARGEST_RESULTS
from .comparison import case_name, match, read_results
from .modeled_runtime import case_score
from .parts import Parts, seconds_parts
from .problems import FileError
from .regular_file import TooLarge, read_regular


class Previous(NamedTuple):
    """An earlier run: the folder's name, and case scores and parts of the seconds by case name.

    policy: the earlier run's policy, where another than this run's; "" otherwise.
    """

    name: str
    policy: str
    case_scores: dict[str, float]
    parts: dict[str, Parts | None]


def read_previous(folder: Path | None, reference: dict[str, Any], other: str | None = None) -> Previous | None:
    """Read an earlier run from the folder that holds results.json.

    other: the earlier run's policy, where another than this run's. Returns None without a folder, without a score, or
    where the results do not fit the reference. None of these is an error: no score depends on an earlier run.
    """
    if folder is None:
        return None
    try:
        results = read_results(read_regular(folder / "results.json", LARGEST_RESULTS))
        pairs = match(results, reference)
    except (FileError, OSError, TooLarge):
        return None
    if results["status"] != "scored" or any(row["status"] != "ok" for row, _ in pairs):
        return None
    scores = {case_name(row): case_score(row, stored) for row, stored in pairs}
    parts = {case_name(row): seconds_parts(row, stored) for row, stored in pairs}
    return Previous(folder.name, other or "", scores, parts)
