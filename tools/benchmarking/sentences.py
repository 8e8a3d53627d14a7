"""What the documents show of the benchmark's numbers: its tables, and the sentences that state a measured figure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarking.submission import day_rows
from benchmarking.table import (
    BOUNDARY_COLUMNS,
    CASE_COLUMNS,
    DAY_COLUMNS,
    GRID_COLUMNS,
    GROWTH_COLUMNS,
    LOOP_COLUMNS,
    STEP_COLUMNS,
    SUBMISSIONS,
    table,
)

Numbers = Mapping[str, Any]

# By a table's name: the rows, from all numbers, and the columns.
TABLES: dict[str, tuple[Callable[[Numbers], Sequence[Numbers]], Mapping[str, str]]] = {
    "replays": (lambda numbers: numbers["cases"], CASE_COLUMNS),
    "windows": (lambda numbers: numbers["boundary"], BOUNDARY_COLUMNS),
    "loop": (lambda numbers: numbers["loop"], LOOP_COLUMNS),
    "grid": (lambda numbers: numbers["trace"] + numbers["grid"], GRID_COLUMNS),
    "steps": (lambda numbers: numbers["steps"], STEP_COLUMNS),
    "day": (lambda numbers: day_rows(numbers["submission"], SUBMISSIONS), DAY_COLUMNS),
    "growth": (lambda numbers: numbers["growth"], GROWTH_COLUMNS),
}


def texts(numbers: Numbers) -> dict[str, str]:
    """What stands in the documents, by name of its place, from the numbers that tools/benchmark.py writes."""
    return {
        "machine": f"Measured: {numbers['machine']['text']}; medians of {numbers['times']}.",
        "passes": passes(numbers["cases"]),
        "beside": beside(*numbers["trace"]),
        **{name: drawn(name, numbers) for name in TABLES},
    }


def drawn(name: str, numbers: Numbers) -> str:
    """A table as Markdown, by its name in TABLES."""
    rows, columns = TABLES[name]
    return table(rows(numbers), columns)


def passes(cases: Sequence[Numbers]) -> str:
    """What a pass takes for each model, and what opening, a replay and planning cost."""
    seconds = {row["model"]: row["pass_seconds"] for row in cases}
    took = " and ".join(f"{value * 1000:.0f} ms for {model}" for model, value in seconds.items())
    opening = _range([row["open_passes"] + row["hash_passes"] for row in cases])
    replay = _range([row["replay_passes"] for row in cases])
    planning = _range([row["ds_eplb_plan_milliseconds"] for row in cases])
    return (
        f"A pass took {took}. To open a trace costs {opening} passes, its hash included, and a replay {replay}. "
        f"DS-EPLB plans in {planning} ms."
    )


def beside(loop: Numbers, run: Numbers) -> str:
    """How the plain loop compares with the ingestion program on the cases of one trace, from the file to the digits."""
    processor, wall = (loop[key] / run[key] for key in ("processor_seconds", "wall_seconds"))
    return (
        f"On one trace's {run['cases']} cases the loop took {processor:.1f} times the processor time of the ingestion "
        f"program, and {wall:.1f} times its wall-clock time: from the file to the digits, planning and isolation "
        "included."
    )


def _range(values: Sequence[float]) -> str:
    least, most = f"{min(values):.0f}", f"{max(values):.0f}"
    return least if least == most else f"{least} to {most}"
