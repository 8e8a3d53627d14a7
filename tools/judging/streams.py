"""The champion and two studies of its planner on streams of recorded requests, paired: all on the same streams."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from commands.frame import RunFailed
from commands.places import KIT, OUTPUT
from commands.selection import read_grid
from commands.units import libraries
from placement.errors import sentence
from placement.evaluation.case_run import run_case
from placement.evaluation.versions import versions
from placement.grid import Case, Grid
from placement.submission.receipt import file_sha256, policy_sha256, simulator_sha256
from placement.trace import Trace, check_fits
from scores.modeled_runtime import case_score
from scores.table import markdown
from traces.composition.request_file import Requests, read_requests
from traces.composition.stream import Composition, compose
from traces.composition.topics import Topics, grouped_topics, read_words
from traces.store import find, keep

from .ranking import PATIENCE

KEPT = OUTPUT / "requests"
COMPOSITION = KIT / "traces" / "composition"
GRID, TOPICS = COMPOSITION / "grid_gptoss20b.yaml", COMPOSITION / "topics_gptoss20b.yaml"
# The most telling first.
STREAMS = {
    "switching every 1500": Composition("switching", (1500, 1500)),
    "switching at random": Composition("switching", (700, 2200)),
    "drifting": Composition("drifting"),
    "stationary": Composition("stationary"),
    "switching every 800": Composition("switching", (800, 800)),
    "switching every 1100": Composition("switching", (1100, 1100)),
    "switching every 2300": Composition("switching", (2300, 2300)),
}
BASELINE, CHAMPION = "ds_eplb", "champion"
RIVALS = ("kernel forecast", "return hedge")


class Material(NamedTuple):
    """What every stream is made of; cases: of which the dataset is the stream's name; sha256: of both files."""

    requests: Requests
    topics: Topics
    grid: Grid
    cases: tuple[Case, ...]
    iterations: int
    sha256: tuple[str, str]


def read_material(requests: Path, topics: Path, grid: Path, iterations: int) -> Material:
    """Read the files; the cases are those of the grid's first trace. Raises OrganizerError and UsageError."""
    content = read_grid(grid)
    patient = {name: value * PATIENCE for name, value in asdict(content.limits).items() if "seconds" in name}
    content = replace(content, limits=replace(content.limits, **patient))
    recorded = read_requests(requests)
    labelled = grouped_topics(recorded.labels, read_words(topics))
    hashes = file_sha256(requests), file_sha256(topics)
    return Material(recorded, labelled, content, tuple(content.by_trace()[0]), iterations, hashes)


def measure_all(
    material: Material,
    folders: Mapping[str, Path],
    streams: Iterable[str],
    seeds: Sequence[int],
    show: Callable[[str], None],
) -> pd.DataFrame:
    """Case scores, DS-EPLB = 100: columns stream, ep, seed, policy, score. Raises RunFailed and OrganizerError.

    folders: of the policies, by name, BASELINE among them. What was measured before is not measured again.
    """
    table = []
    for stream in streams:
        for seed in seeds:
            rows = _measure(material, folders, stream, seed, show)
            for (case, name), row in rows.items():
                score = case_score(row, rows[case, BASELINE])
                table.append({"stream": stream, "ep": case.ep, "seed": seed, "policy": name, "score": score})
    return pd.DataFrame(table)


def comparison(scores: pd.DataFrame) -> str:
    """Markdown, a row for each stream at each ep: means, and paired differences with their standard errors."""
    less = [f"{CHAMPION} less {rival} (standard error)" for rival in RIVALS]
    rows = []
    for (stream, ep), cell in scores.groupby(["stream", "ep"], sort=False):
        by_policy = cell.pivot(index="seed", columns="policy", values="score")
        means = [float(by_policy[name].mean()) for name in (CHAMPION, *RIVALS)]
        differences = ["{:+.2f} ({:.2f})".format(*paired(by_policy, rival)) for rival in RIVALS]
        rows.append([stream, ep, len(by_policy), *means, *differences, verdict(by_policy)])
    return markdown(["stream", "ep", "seeds", CHAMPION, *RIVALS, *less, "against the better"], rows)


def paired(by_policy: pd.DataFrame, rival: str) -> tuple[float, float]:
    """By how much the champion is above a rival on the same seeds: mean and its standard error, nan for one seed.

    by_policy: a score for each seed and policy.
    """
    difference = by_policy[CHAMPION] - by_policy[rival]
    return float(difference.mean()), float(difference.sem())


def verdict(by_policy: pd.DataFrame) -> str:
    """Whether the champion is at most one standard error of the paired difference below the better rival."""
    mean, error = paired(by_policy, max(RIVALS, key=lambda rival: by_policy[rival].mean()))
    if math.isnan(error):
        return "one seed"
    return "above" if mean >= 0 else "within one error" if mean >= -error else "below"


def _measure(
    material: Material, folders: Mapping[str, Path], stream: str, seed: int, show: Callable[[str], None]
) -> dict[tuple[Case, str], dict[str, Any]]:
    """The rows of all cases and policies on one stream."""
    trace, rows, fresh = None, {}, 0
    for case in (replace(case, dataset=stream) for case in material.cases):
        for name, folder in folders.items():
            made_of = _made_of(material, case, seed, folder)
            row = find(KEPT, made_of)
            if row is None:
                trace = trace or _trace(material, case, seed)
                row = keep(KEPT, made_of, _row(folder, name, case, trace, material.grid))
                fresh += 1
            rows[case, name] = row
    show(f"{stream}, seed {seed}: {fresh} measured, {len(rows) - fresh} kept from an earlier run")
    return rows


def _trace(material: Material, case: Case, seed: int) -> Trace:
    values = compose(material.requests, material.topics, STREAMS[case.dataset], material.iterations, seed)
    trace = Trace(values, case.name)
    check_fits(trace, case.name, case.layers, case.experts, case.window)
    return trace


def _row(folder: Path, name: str, case: Case, trace: Trace, grid: Grid) -> dict[str, Any]:
    outcome = run_case(folder, case, trace, grid, math.inf)
    if outcome.row["status"] != "ok":
        said = sentence(outcome.row["failure"], case.name)
        raise RunFailed(f"{name}: {said}", pd.DataFrame([outcome.row]), "failed")
    return outcome.row


def _made_of(material: Material, case: Case, seed: int, folder: Path) -> dict[str, Any]:
    """All that a row depends on."""
    return {
        "policy_sha256": policy_sha256(folder),
        "case": asdict(case),
        "cost": asdict(material.grid.cost),
        "requests and topics": material.sha256,
        "stream": asdict(STREAMS[case.dataset]),
        "iterations": material.iterations,
        "seed": seed,
        "programs": [simulator_sha256(), simulator_sha256(COMPOSITION)],
        "versions": versions() | libraries(),
    }
