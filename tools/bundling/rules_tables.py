"""Rules for the tables of the page Data: the models, the cases and windows of open grids, and what each phase runs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bundling.figures import grid_rows, listed, phase_row
from bundling.parts import PUBLIC_GRIDS
from bundling.reader import Bundle, Fault
from bundling.rules_figures import DATA, text_of
from bundling.rules_programs import KIT, grid_of, phase_grids
from placement.grid import Grid

ADD = "add it to the table"


def phase_rows(bundle: Bundle) -> Iterator[Fault]:
    """Each phase with its grid, window, latency and number of cases."""
    lines = data_lines(bundle)
    for phase in bundle.phases:
        grid, name = phase_grids(bundle).get(phase.name), phase.entry.get("name")
        if grid is None:
            continue
        expected = phase_row(str(name), grid)
        found = {number: line for number, line in lines.items() if line.startswith(f"| {name} |")}
        if not found:
            yield Fault(DATA, f"does not say what {phase.name} runs", "no such line", expected, ADD)
        for number, line in found.items():
            yield from difference(number, line, expected, f"{phase.name} is not as its grid says")


def grid_tables(bundle: Bundle) -> Iterator[Fault]:
    """The lines of each grid that is no secret, and of no other."""
    grids, lines = open_grids(bundle), data_lines(bundle)
    for name, grid in grids.items():
        rows = grid_rows(grid)
        start = next((number for number, line in lines.items() if line.startswith(f"| {name}, window")), None)
        if start is None:
            yield Fault(DATA, f"does not list the grid {name}", "no such lines", "\n".join(rows), ADD)
            continue
        block = [start]
        while lines.get(block[-1] + 1, "").startswith("| | `"):
            block.append(block[-1] + 1)
        what = f"the grid {name} is another"
        for number, expected in zip(block, rows, strict=False):
            yield from difference(number, lines[number], expected, what)
        for number in block[len(rows) :]:
            yield Fault(f"{DATA}, line {number}", what, lines[number], "no such line", "remove it")
        if rows[len(block) :]:
            yield Fault(f"{DATA}, line {block[-1]}", what, "no line behind it", "\n".join(rows[len(block) :]), ADD)
    for number, line in lines.items():
        name = re.match(r"\| (\S+), window ", line)
        if name and name[1] not in grids:
            expected = f"grids of the kit and of open phases: {listed(grids)}"
            yield Fault(
                f"{DATA}, line {number}", "lists a grid that is not there", name[1], expected, "remove its lines"
            )


def case_counts(bundle: Bundle) -> Iterator[Fault]:
    """The numbers of cases where a sentence states them."""
    counts = {name: str(len(grid.cases)) for name, grid in open_grids(bundle).items()}
    for number, line in data_lines(bundle).items():
        for match in re.finditer(r"(\d+)(?: cases)? in the (\w+) grid", line):
            expected = counts.get(match[2], f"no grid {match[2]}, which neither the kit nor an open phase has")
            if match[1] != expected:
                what = f"states the cases of the grid {match[2]} otherwise"
                yield Fault(f"{DATA}, line {number}", what, match[1], expected, "correct the text")


def model_rows(bundle: Bundle) -> Iterator[Fault]:
    """Each model of a grid with its layers and experts."""
    lines = data_lines(bundle)
    grids = [*open_grids(bundle).values(), *phase_grids(bundle).values()]
    sizes = {case.model: (case.layers, case.experts) for grid in grids for case in grid.cases}
    for model, (layers, experts) in sizes.items():
        form = re.compile(rf"\| `{re.escape(model)}` \| [^|]* \| (\d+) \| (\d+) \|")
        found = {number: match for number, line in lines.items() if (match := form.match(line))}
        if not found:
            expected = f"| `{model}` | what it is | {layers} | {experts} | iterations |"
            yield Fault(DATA, f"does not list the model {model}", "no such line", expected, ADD)
        for number, match in found.items():
            sizes_there = f"{match[1]} | {match[2]}"
            what, next_step = f"the sizes of {model} are others", "correct the line, or the grid's models"
            yield from difference(number, sizes_there, f"{layers} | {experts}", what, next_step)


def difference(number: int, got: str, expected: str, what: str, next_step: str = "correct the line") -> Iterator[Fault]:
    """A line, or a part of one, that is not as expected."""
    if got != expected:
        yield Fault(f"{DATA}, line {number}", what, got, expected, next_step)


def open_grids(bundle: Bundle) -> dict[str, Grid]:
    """By name, the grids that participants may know: those of phases, and the kit's."""
    phases = {phase.name: phase for phase in bundle.phases}
    grids = [grid for name, grid in phase_grids(bundle).items() if not phases[name].hidden]
    public = (grid_of(KIT, bundle.kit, name) for name in PUBLIC_GRIDS if name in bundle.kit)
    return {grid.name: grid for grid in [*public, *grids] if isinstance(grid, Grid)}


def data_lines(bundle: Bundle) -> dict[int, str]:
    """The page's lines by their numbers."""
    return dict(enumerate(text_of(bundle, DATA).splitlines(), 1))


RULES = (phase_rows, grid_tables, case_counts, model_rows)
