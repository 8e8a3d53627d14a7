"""The benchmark's numbers as Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from scores.table import markdown

CASE_COLUMNS = {
    "model": "model",
    "ep": "ep",
    "replay_seconds": "replay s",
    "replay_passes": "replay, passes",
    "case_passes": "with opening, passes",
    "open_passes": "opening, passes",
    "hash_passes": "hash, passes",
    "numpy_loop_ratio": "numpy loop slower",
    "plain_loop_ratio": "plain loop slower",
    "ds_eplb_call_milliseconds": "DS-EPLB call ms",
}
BOUNDARY_COLUMNS = {
    "model": "model",
    "window_bytes": "window MB",
    "hand_over_milliseconds": "handed over ms",
    "copy_into_shared_milliseconds": "copied into shared memory ms",
    "copy_milliseconds": "copied privately ms",
    "start_seconds": "process start s",
    "bare_start_seconds": "bare Python and numpy s",
    "above_bare_milliseconds": "above bare ms",
}
GRID_COLUMNS = {
    "run": "what runs",
    "cases": "cases",
    "jobs": "jobs",
    "wall_seconds": "wall s",
    "processor_seconds": "processor s",
    "page_faults": "page faults",
    "peak_bytes": "peak memory MB",
}
STEP_COLUMNS = {"step": "step", "milliseconds": "processor ms", "part_percent": "% of the run"}
LOOP_COLUMNS = {
    "model": "model",
    "ep": "ep",
    "loop_seconds": "numpy loop s",
    "replay_seconds": "replay s",
    "faster_ratio": "replay faster",
    "same": "same digits",
}
GROWTH_COLUMNS = {
    "varied": "varied",
    "iterations": "iterations",
    "layers": "layers",
    "experts": "experts",
    "devices": "devices",
    "redundant": "redundant",
    "trace_bytes": "trace MB",
    "milliseconds": "replay ms",
    "processor_seconds": "run s",
    "peak_bytes": "run's peak MB",
    "left_bytes": "results MB",
}
# A day's, whose costs stand beside those of one.
SUBMISSIONS = 10_000
DAY_COLUMNS = {"what": "", "one": "one submission", "day": f"{SUBMISSIONS:,} a day"}
# By which power of the varied size a cost has grown stands behind it.
EXPONENTS = {
    "milliseconds": "replay_exponent",
    "processor_seconds": "processor_exponent",
    "peak_bytes": "peak_exponent",
    "left_bytes": "left_exponent",
}


def table(rows: Iterable[Mapping[str, Any]], columns: Mapping[str, str]) -> str:
    """A Markdown table of some keys of the rows under their titles; a key ending in `_bytes` is shown in MB."""
    return markdown(
        columns.values(), [[_cell(key, row.get(key)) + _power(key, row) for key in columns] for row in rows]
    )


def _cell(key: str, value: Any) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "NO"
    if key.endswith("_bytes"):
        return f"{value / 1e6:.0f}" if value >= 10e6 else f"{value / 1e6:.2g}"
    if key.endswith("_ratio"):
        return f"{value:.0f} x"
    if key.endswith(("_passes", "_milliseconds")) or key in ("milliseconds", "wall_seconds", "processor_seconds"):
        return f"{value:.1f}"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _power(key: str, row: Mapping[str, Any]) -> str:
    exponent = row.get(EXPONENTS.get(key, ""))
    return "" if exponent is None else f" ({exponent:+.2f})"
