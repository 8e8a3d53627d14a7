"""A board before and after: scores of stored results and of recomputed ones, ranked, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from placement.evaluation.versions import versions
from rescoring.recomputing import Recomputed
from rescoring.stored_runs import StoredRun
from scores.comparison import match
from scores.modeled_runtime import case_table, leaderboard
from scores.problems import FileError
from scores.table import markdown

FORMAT = 1
SCORE = "composite_score"
HEADINGS = (
    "rank",
    "rank before",
    "run",
    "score",
    "score before",
    "change",
    "mean_par",
    "transmit_amount",
    "stored result",
)
Columns = dict[str, float]


@dataclass
class Line:
    """A run on the board: its columns and ranks before and after, None without a score; problems: why, a sentence each;
    not_before: why none before; differences: where stored cases are not what their logs give."""

    name: str
    started_seconds: float
    before: Columns | None
    after: Columns | None
    problems: list[str] = field(default_factory=list)
    differences: list[dict[str, Any]] = field(default_factory=list)
    not_before: str = ""
    rank_before: int | None = None
    rank: int | None = None

    @property
    def verdict(self) -> str:
        """What is said of the stored result in the table."""
        if self.problems:
            return "not re-scored" if self.after is None else "altered"
        return f"differs in {len(self.differences)} cases" if self.differences else "agrees"


def board(
    runs: Sequence[StoredRun],
    recomputed: Sequence[Sequence[Recomputed]],
    reference: dict[str, Any],
    before: dict[str, Any],
) -> list[Line]:
    """A line per run, ranked by the score after: the higher first, of equal ones the run that began first.

    reference, before: contents of ds_eplb.json, the one that counts now and the one that counted.
    """
    lines = [_line(run, list(cases), reference, before) for run, cases in zip(runs, recomputed, strict=True)]
    for rank, line in enumerate(_ranked(lines, "before"), 1):
        line.rank_before = rank
    ranked = _ranked(lines, "after")
    for rank, line in enumerate(ranked, 1):
        line.rank = rank
    return [*ranked, *(line for line in lines if line.after is None)]


def table(lines: Iterable[Line]) -> list[tuple[Any, ...]]:
    """The rows of the board's table, with HEADINGS."""
    return [
        (
            _shown(line.rank),
            _shown(line.rank_before),
            line.name,
            _shown(line.after and line.after[SCORE]),
            _shown(line.before and line.before[SCORE]),
            _shown(line.after[SCORE] - line.before[SCORE] if line.after and line.before else None),
            _shown(line.after and line.after["mean_par"]),
            _shown(line.after and line.after["transmit_amount"]),
            line.verdict,
        )
        for line in lines
    ]


def text(lines: Sequence[Line], told: Sequence[str]) -> str:
    """The board as a Markdown page; told: sentences about all of it."""
    parts = ["# Re-scored", *told, markdown(HEADINGS, table(lines), ".4f")]
    problems = [f"- {line.name}: {problem}" for line in lines for problem in line.problems]
    differing = [f"- {line.name}: {first['text']}" for line in lines for first in line.differences]
    if problems:
        parts += ["## Runs that were not taken as they are", "\n".join(problems)]
    if differing:
        parts += ["## Where stored results differ from their logs", "\n".join(differing)]
    return "\n\n".join(parts) + "\n"


def content(lines: Sequence[Line]) -> dict[str, Any]:
    """The board for JSON, with every digit."""
    return {"format": FORMAT, "versions": versions(), "runs": [asdict(line) for line in lines]}


def _line(run: StoredRun, cases: list[Recomputed], reference: dict[str, Any], before: dict[str, Any]) -> Line:
    problems = [text for text in (run.problem, run.altered, *(case.problem for case in cases)) if text]
    differences = [
        asdict(case.difference) | {"text": str(case.difference)} for case in cases if case.difference is not None
    ]
    line = Line(run.name, run.results.get("started_seconds", 0.0), None, None, problems, differences)
    if run.problem:
        return line
    try:
        line.before = columns(run.results, before)
    except FileError as error:
        # Other cases, traces or versions than that reference's: no board had it.
        line.not_before = str(error)
    if all(case.row for case in cases):
        try:
            # By this simulator, whichever measured it first.
            new = run.results | {"cases": [case.row for case in cases], "versions": versions()}
            line.after = columns(new, reference)
        except FileError as error:
            line.problems.append(str(error))
    return line


def columns(results: dict[str, Any], reference: dict[str, Any]) -> Columns:
    """The leaderboard's columns of results, as the scoring program computes them. Raises FileError."""
    return leaderboard(case_table(match(results, reference)))


def _ranked(lines: Iterable[Line], when: str) -> list[Line]:
    scored = [line for line in lines if getattr(line, when)]
    return sorted(scored, key=lambda line: (-getattr(line, when)[SCORE], line.started_seconds, line.name))


def _shown(value: Any) -> Any:
    return "-" if value is None else value
