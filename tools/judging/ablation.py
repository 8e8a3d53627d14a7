"""What each ingredient of the champion is worth: its score less the score without, on the same traces."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from commands.options import UsageError
from commands.places import KIT, OUTPUT
from placement.evaluation.trace_process import METHOD
from placement.grid import Case
from placement.submission.receipt import file_sha256, simulator_sha256
from placement.trace import Trace
from scores.modeled_runtime import case_score
from scores.table import markdown
from traces.reference_parts import begin_process
from traces.store import once

from . import ingredients
from .families import BoardTrace, traces_of
from .ingredients import CHAMPION, INGREDIENTS, measure

KEPT = OUTPUT / "ablation"
BASELINE, WHOLE = "DS-EPLB", "nothing: the champion's score"
POLICIES: dict[str, Mapping[str, Any] | None] = {BASELINE: None, WHOLE: {}, **INGREDIENTS}
# Of each column the family, the trace, and every ep.
COLUMNS = {
    "DS-R1/LmSys": ("official", "DS-R1/LmSys", (64, 256)),
    "DS-R1/Mix": ("official", "DS-R1/Mix", (64, 256)),
    "Qwen3/LmSys": ("official", "Qwen3/LmSys", (64, 128)),
    "independent DS-R1/LmSys": ("independent", "DS-R1/LmSys", (64, 256)),
    "requests, switching every 1500": ("requests", "GPT-OSS-20B/switching-1500", (8, 16)),
    "requests, drifting": ("requests", "GPT-OSS-20B/drifting", (8, 16)),
}
# More points than this are help.
HELP = 0.3


class Column(NamedTuple):
    """A column of the table: its trace, and those of the trace's cases that are measured."""

    name: str
    trace: BoardTrace
    cases: tuple[Case, ...]


def columns(
    seed: int, requests_seed: int, requests: Path | None = None, only: Sequence[int] | None = None
) -> list[Column]:
    """The columns; those of composed traces only where there are recorded requests. Raises UsageError, OrganizerError.

    only: these ep of a column's, None for all.
    """
    seeds = {"official": seed, "independent": seed} | ({"requests": requests_seed} if requests else {})
    drawn = {(family, trace.name): trace for family in seeds for trace in traces_of(family, [seeds[family]], requests)}
    wanted = [
        Column(name, trace, cases)
        for name, (family, trace_name, eps) in COLUMNS.items()
        if (trace := drawn.get((family, trace_name)))
        and (cases := tuple(case for case in trace.grid.cases if case.ep in eps and case.ep in (only or eps)))
    ]
    if not wanted:
        got, expected = " ".join(map(str, only or ())), "8 .. 256, as in the table of docs/ablation.md"
        raise UsageError("no family is measured at this ep", got, expected, "correct --ep")
    return wanted


def measure_all(wanted: Sequence[Column], kept: Path, jobs: int, show: Callable[[str], None]) -> pd.DataFrame:
    """Case scores, DS-EPLB = 100: columns family, ep, left_out, score.

    kept: folder of what is finished, which is not measured again; jobs: traces at a time. Raises PolicyError.
    """
    one = partial(_measure_column, kept=kept, show=show)
    if jobs == 1:
        found = [one(column) for column in wanted]
    else:
        with ProcessPoolExecutor(jobs, get_context(METHOD), initializer=begin_process) as pool:
            found = list(pool.map(one, wanted))
    return pd.DataFrame([row for rows in found for row in rows])


def table(scores: pd.DataFrame) -> str:
    """Markdown: the champion's score, and by how much it is above the score without an ingredient; means over ep."""
    means = scores.groupby(["left_out", "family"])["score"].mean().unstack()
    means = means.loc[scores["left_out"].unique(), scores["family"].unique()]
    eps = scores.groupby("family", sort=False)["ep"].unique()
    headings = [f"{family}, ep {', '.join(map(str, eps[family]))}" for family in means]
    rows = [[WHOLE, *means.loc[WHOLE].tolist(), ""]]
    for name, points in (means.loc[WHOLE] - means.drop(WHOLE)).iterrows():
        mark = "on one family only" if (points > HELP).sum() == 1 else ""
        rows.append([name, *map("{:+.2f}".format, points), mark])
    return markdown(["left out", *headings, f"helps by more than {HELP}"], rows)


def _measure_column(column: Column, kept: Path, show: Callable[[str], None]) -> list[dict[str, Any]]:
    """The rows of a column, case by case; the trace is drawn when something is not kept."""
    trace = cache(lambda: Trace(column.trace.new.values(), column.trace.name))
    cost, rows = column.trace.grid.cost, []
    shared = column.trace.made_of() | _programs()
    for case in column.cases:
        results: dict[str, dict[str, Any]] = {}
        for name, replaced in POLICIES.items():
            made_of = shared | {"case": case.name, "left out": name}
            results[name] = once(kept, made_of, lambda case=case, r=replaced: measure(trace(), case, cost, r))
            if name != BASELINE:
                score = case_score(results[name], results[BASELINE])
                rows.append({"family": column.name, "ep": case.ep, "left_out": name, "score": score})
                show(f"{column.name}, ep {case.ep}, without {name}: {score:.2f}")
    return rows


def _programs() -> dict[str, str]:
    """What a result depends on beside its trace and its case."""
    return {
        "unit": "the champion without an ingredient",
        "champion": file_sha256(CHAMPION),
        "planning": simulator_sha256(KIT / "planning"),
        "ingredients.py": file_sha256(Path(ingredients.__file__)),
        "scipy": version("scipy"),
    }
