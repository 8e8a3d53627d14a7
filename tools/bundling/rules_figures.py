"""Rules for the figures in pages and guide: cost constants, windows, latency and limits are those of the grids."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from bundling.figures import all_slots, digits, listed, plain, slot_seconds, slots_of_one_par, spaced
from bundling.pages import drawings
from bundling.parts import KIT_GRID, PUBLIC_GRIDS
from bundling.reader import Bundle, Fault, json_of
from bundling.rules_programs import KIT, grid_of, kit_grid, phase_grids
from bundling.rules_secrets import sample_traces
from placement.grid import Grid
from scores.yardsticks import yardstick_score

EVALUATION, POLICY, DATA, OVERVIEW, TERMS, GUIDE = (
    "pages/evaluation.md",
    "pages/policy.md",
    "pages/data.md",
    "pages/overview.md",
    "pages/rules.md",
    "starting_kit/README.md",
)
NUMBER = r"(\d[\d_.]*)"


class Statement(NamedTuple):
    """How a text states a figure of a grid. The pattern's group is the figure; required: it must be stated."""

    what: str
    pattern: str
    figure: Callable[[Grid], str]
    required: bool = True


def _cost(key: str) -> Statement:
    # Behind the figure may stand whose it is.
    return Statement(key, rf"^{key} *= *{NUMBER}(?=\s|$)", lambda grid: plain(getattr(grid.cost, key)))


def _limit(key: str, pattern: str = "", unit: int = 1) -> Statement:
    pattern = pattern or rf"\| `{key}` \| {NUMBER}"
    return Statement(key, pattern, lambda grid: f"{getattr(grid.limits, key) / unit:.15g}", required=False)


# Of the phases' grids, by page.
STATED: dict[str, tuple[Statement, ...]] = {
    EVALUATION: (
        *map(_cost, ("balanced_compute_seconds", "expert_bytes", "bandwidth_bytes_per_second")),
        Statement(
            "the cost of a slot",
            r"One changed slot costs ([\d.]+) s",
            lambda grid: digits(slot_seconds(grid.cost), 3),
            required=False,
        ),
        Statement("the cost of all slots", r"Changing all (\d.*) of `mean_par`", all_slots, required=False),
        Statement(
            "the cost of a perfect balance",
            rf"A perfect `mean_par` of 1 would cost {NUMBER} s",
            lambda grid: f"{grid.cost.balanced_compute_seconds:.15g}",
            required=False,
        ),
        Statement(
            "the seconds of a perfect balance",
            rf"A perfect balance takes {NUMBER} seconds",
            lambda grid: f"{grid.cost.balanced_compute_seconds:.15g}",
            required=False,
        ),
        *map(_limit, ("start_seconds", "call_seconds", "case_seconds", "grid_seconds")),
        *map(_limit, ("memory_bytes", "trace_memory_bytes", "log_bytes")),
    ),
    POLICY: (
        _limit("start_seconds", rf"`__init__` may take {NUMBER} s"),
        _limit("call_seconds", rf"a call {NUMBER} s"),
        _limit("case_seconds", rf"calls of a case together may take {NUMBER} s"),
        _limit("grid_seconds", rf"[Tt]he whole grid may take {NUMBER} s"),
        _limit("memory_bytes", rf"has {NUMBER} GiB of memory", 2**30),
        _limit("trace_memory_bytes", rf"cases together have {NUMBER} GiB", 2**30),
        _limit("log_bytes", rf"{NUMBER} KiB per case", 2**10),
    ),
    TERMS: (_limit("grid_seconds", rf"at most {NUMBER} s: then"),),
}
# Of the kit's own grid, in its guide.
STATED_IN_GUIDE = (
    Statement(
        "balanced_compute_seconds",
        rf"modeled seconds = {NUMBER} \* mean PAR",
        lambda grid: f"{grid.cost.balanced_compute_seconds:.15g}",
    ),
    Statement("the cost of a slot", r"changed slots \* ([\d.]+)$", lambda grid: digits(slot_seconds(grid.cost), 3)),
    Statement(
        "the worth of mean PAR",
        r"point of mean PAR is worth (\d[\d ]*\d) slots",
        lambda grid: spaced(slots_of_one_par(grid.cost)),
        required=False,
    ),
    Statement("the window", r"\*Sample\*, window (\d+), latency \d+", lambda grid: str(grid.window)),
    Statement("the latency", r"\*Sample\*, window \d+, latency (\d+)", lambda grid: str(grid.latency)),
)


def figures(bundle: Bundle) -> Iterator[Fault]:
    """What the pages state of the phases' grids, and the guide of the kit's."""
    for name, statements in STATED.items():
        for statement in statements:
            yield from stated(name, text_of(bundle, name), statement, phase_grids(bundle))
    if kit := kit_grid(bundle):
        for statement in STATED_IN_GUIDE:
            yield from stated(f"starting kit/{GUIDE}", text_of(bundle, GUIDE), statement, {KIT_GRID: kit})


def stated(where: str, text: str, statement: Statement, grids: dict[str, Grid]) -> Iterator[Fault]:
    """Whether a text states a figure, each time as one of the grids has it, and of each grid; grids: by owner."""
    values: dict[str, list[str]] = {}
    for whose, grid in grids.items():
        values.setdefault(statement.figure(grid), []).append(whose)
    expected = listed(f"{value} ({listed(whose)})" for value, whose in values.items())
    found: dict[str, int] = {}
    for match in re.finditer(statement.pattern, text, re.MULTILINE):
        value = next((value for value in values if same(match[1], value)), None)
        if value is None:
            yield wrong(where, line_of(text, match.start(1)), statement.what, match[1], expected)
            return
        found[value] = line_of(text, match.start(1))
    for value in values.keys() - found.keys() if found or statement.required else ():
        next_step = "write the sentence as the bundle ships it, with this figure"
        if found:
            line = min(found.values())
            next_step = f"repeat what line {line} says, in the same words, with {value}; say in both whose figure it is"
        yield Fault(where, f"does not state {statement.what}", f"no {value}", expected, next_step)


def kit_scores(bundle: Bundle) -> Iterator[Fault]:
    """The guide's scores are of the kit's own grid: the one that the reference tells is compared."""
    score = yardstick_score(json_of(bundle.kit.get("reference_data/ds_eplb.json", b"")).get("cases") or [], "static")
    text = text_of(bundle, GUIDE)
    for match in re.finditer(r"^\| `policies/static` .*\| ([\d.]+) \|$", text, re.MULTILINE):
        if score is not None and match[1] != f"{score:.4f}":
            where = f"starting kit/{GUIDE}, line {line_of(text, match.start(1))}"
            next_step = "measure the table with kit.py run, or leave the scores out"
            yield Fault(where, "the scores are of another grid", match[1], f"{score:.4f}", next_step)


def guide_cases(bundle: Bundle) -> Iterator[Fault]:
    """A command of the guide names a case that the kit's grid has."""
    kit, text = kit_grid(bundle), text_of(bundle, GUIDE)
    for match in re.finditer(r"--case ([^\s`,]+)(?! .*--(?:grid|traces))", text):
        keys = [":".join(case.key.rsplit("/", 1)) for case in kit.cases] if kit else [match[1]]
        if match[1] not in keys:
            yield wrong(f"starting kit/{GUIDE}", line_of(text, match.start(1)), "a case", match[1], keys[0])


def grid_names(bundle: Bundle) -> Iterator[Fault]:
    """A text that tells of a run names a grid that is there."""
    kit = kit_grid(bundle)
    public = [grid_of(KIT, bundle.kit, name) for name in PUBLIC_GRIDS if name in bundle.kit]
    names = {grid.name for grid in (*public, *phase_grids(bundle).values()) if isinstance(grid, Grid)}
    for name, shown in [*((page, page) for page in (OVERVIEW, POLICY, TERMS)), (GUIDE, f"starting kit/{GUIDE}")]:
        text = text_of(bundle, name)
        for match in re.finditer(r"(?:on|replays) the (\w+) grid\b", text):
            if kit and match[1] not in names:
                where = f"{shown}, line {line_of(text, match.start(1))}"
                next_step = (
                    "write this name where the sentence holds for its grid, and leave the sentence out otherwise"
                )
                yield Fault(where, "tells of a grid that is not there", match[1], kit.name, next_step)


def kit_iterations(bundle: Bundle) -> Iterator[Fault]:
    """What the page Data says of the traces that ship."""
    text, entries = (
        text_of(bundle, DATA),
        [entry for entry in sample_traces(bundle).values() if isinstance(entry, dict)],
    )
    lengths = {str(entry["shape"][0]) for entry in entries if isinstance(entry.get("shape"), list) and entry["shape"]}
    for match in re.finditer(rf"ship with the kit, {NUMBER} iterations each", text):
        if {match[1]} != lengths:
            number = line_of(text, match.start(1))
            yield wrong(DATA, number, "the length of the kit's traces", match[1], listed(sorted(lengths)))
    origins = [str(entry.get("origin")) for entry in entries]
    if not all(origin.startswith("generated") for origin in origins):
        for match in re.finditer(r"not recorded", text):
            expected = f"what the kit's manifest says: {next(o for o in origins if not o.startswith('generated'))}"
            where = f"{DATA}, line {line_of(text, match.start())}"
            yield Fault(where, "says that the kit's traces are generated", match[0], expected, "write what they are")
    if kit := kit_grid(bundle):
        statement = Statement("the kit's window", rf"The window is {NUMBER} iterations", lambda g: str(g.window), False)
        yield from stated(DATA, text, statement, {KIT_GRID: kit})


def diagrams(bundle: Bundle) -> Iterator[Fault]:
    """The diagrams of the page Evaluation show the kit's grid."""
    kit = kit_grid(bundle)
    for drawing in drawings(text_of(bundle, EVALUATION)) if kit else ():
        for match in re.finditer(rf"window {NUMBER}", drawing):
            if kit and match[1] != str(kit.window):
                next_step = "draw the diagrams with `python tools/bundle.py draw`, and build again"
                yield Fault(EVALUATION, "has a diagram of another grid", match[0], f"window {kit.window}", next_step)


def wrong(where: str, line: int, what: str, got: str, expected: str) -> Fault:
    """A figure that is not the grid's, with its place."""
    return Fault(f"{where}, line {line}", f"states {what} otherwise than the grid", got, expected, "correct the text")


def same(text: str, value: str) -> bool:
    """Whether two texts are the same number, or the same text."""
    try:
        return float(text.replace("_", "")) == float(value)
    except ValueError:
        return text == value


def line_of(text: str, position: int) -> int:
    """The number of a line, as editors count."""
    return text.count("\n", 0, position) + 1


def text_of(bundle: Bundle, name: str) -> str:
    """A page of the bundle, or a text of the kit; empty where there is none."""
    return bundle.files.get(name, bundle.kit.get(name, b"")).decode("utf-8", "replace")


RULES = (figures, kit_scores, guide_cases, grid_names, kit_iterations, diagrams)
