"""How pages and guide write a grid's figures."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from placement.grid import Case, Cost, Grid


def plain(value: float) -> str:
    """A number as grids have it: 60.0, 88080384."""
    return str(int(value)) if value == int(value) and abs(value) >= 1000 else str(value)


def spaced(number: float) -> str:
    """A whole number with a space before every three digits: 613 076."""
    return f"{round(number):,}".replace(",", " ")


def digits(value: float, count: int) -> str:
    """A number with so many significant digits and no exponent: 0.0000979."""
    return f"{Decimal(f'{value:.{count}g}'):f}"


def slot_seconds(cost: Cost) -> float:
    """What one changed slot costs."""
    return cost.expert_bytes / cost.bandwidth_bytes_per_second


def slots_of_one_par(cost: Cost) -> float:
    """How many changed slots cost as much as 1 of mean PAR (peak-to-average ratio)."""
    return cost.balanced_compute_seconds / slot_seconds(cost)


def largest(grid: Grid) -> Case:
    """The case with most slots in all layers; of several, the first."""
    return max(grid.cases, key=lambda case: case.layers * case.ep * case.slots)


def all_slots(grid: Grid) -> str:
    """What the page Evaluation says of changing all slots of the largest case."""
    case, cost = largest(grid), grid.cost
    slots = case.layers * case.ep * case.slots
    seconds = slots * slot_seconds(cost)
    share = seconds / cost.balanced_compute_seconds
    costs = f"{digits(seconds, 2)} s, as much as {digits(share, 2)}"
    return f"{spaced(slots)} slots of {case.model} at ep {case.ep} costs {costs}"


def grid_rows(grid: Grid) -> list[str]:
    """A grid's lines of the table on the page Data: one for each model and set of ep."""
    lines: dict[tuple[str, str], list[str]] = {}
    datasets = dict.fromkeys((case.model, case.dataset) for case in grid.cases)
    for model, dataset in datasets:
        cases = [case for case in grid.cases if (case.model, case.dataset) == (model, dataset)]
        lines.setdefault((model, listed(map(_size, cases))), []).append(dataset)
    rows = []
    for (model, sizes), named in lines.items():
        cells = [f"`{model}`", listed(named), sizes, str(len(named) * len(sizes.split(", ")))]
        head = "" if rows else f"{grid.name}, window {grid.window} "
        rows.append(f"| {head}| {' | '.join(cells)} |")
    return rows


def model_row(case: Case, described: str) -> str:
    """A model's line of the table on the page Data, up to its sizes."""
    return f"| `{case.model}` | {described} | {case.layers} | {case.experts} |"


def phase_row(name: str, grid: Grid) -> str:
    """A phase's line of the table on the page Data."""
    cells = [name, grid.name, grid.window, grid.latency, len(grid.cases)]
    return f"| {' | '.join(map(str, cells))} |"


def listed(words: Iterable[object]) -> str:
    """Words with commas."""
    return ", ".join(map(str, words))


def _size(case: Case) -> str:
    return case.name.rpartition(" ep ")[2]
