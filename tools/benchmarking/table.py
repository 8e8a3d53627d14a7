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
}
GRID_COLUMNS = {
    "cases": "cases",
    "jobs": "jobs",
    "wall_seconds": "wall s",
    "processor_seconds": "processor s",
    "page_faults": "page faults",
    "peak_bytes": "peak memory MB",
}
SCALING_COLUMNS = {
    "varied": "varied",
    "iterations": "iterations",
    "layers": "layers",
    "devices": "devices",
    "slots": "slots",
    "milliseconds": "replay ms",
    "nanoseconds_per_slot": "ns per iteration, layer and slot",
}


def table(rows: Iterable[Mapping[str, Any]], columns: Mapping[str, str]) -> str:
    """A Markdown table of some keys of the rows under their titles; a key ending in `_bytes` is shown in MB."""
    return markdown(columns.values(), [[_cell(key, row.get(key)) for key in columns] for row in rows])


def _cell(key: str, value: Any) -> str:
    if value is None:
        return "unknown"
    if key.endswith("_bytes"):
        return f"{value / 1e6:.0f}"
    if key.endswith("_ratio"):
        return f"{value:.0f} x"
    if key.endswith(("_passes", "_milliseconds")) or key in ("milliseconds", "wall_seconds", "processor_seconds"):
        return f"{value:.1f}"
    return f"{value:.2f}" if isinstance(value, float) else str(value)
