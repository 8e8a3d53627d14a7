"""The board as Markdown: scores with their intervals over seeds, the way to clairvoyance, costs, hashes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from commands.verdict import Difference, difference
from scores.table import markdown

from .board import CLAIRVOYANT, Row

MIX, STATIONARY = "DS-R1, Mix", "DS-R1, stationary"
BASELINE = "DS-EPLB, by definition"
HASH_DIGITS = 12
NO_PLOTS = (
    "Without matplotlib there are no plots. Next: .venv/bin/python -m pip install '.[plots]', then the same again."
)
Group = Callable[[Row], str]


class Header(NamedTuple):
    """What a board states of itself: the date, the policies' hashes by name, the programs, and who failed and why."""

    date: str
    policies: Mapping[str, str]
    versions: Mapping[str, str]
    failed: Mapping[str, str]


def part_of(row: Row) -> str:
    """The part of a family that a case counts in: what stays and what switches of DS-R1; Qwen3; else its trace."""
    if row.model == "DS-R1":
        return MIX if row.dataset == "Mix" else STATIONARY
    return row.model if row.model == "Qwen3" else _trace(row)


def mean_over_seeds(rows: Iterable[Row], value: Callable[[Row], float] = lambda row: row.score) -> Difference:
    """Mean over seeds of the mean over cases, and the ends of its 95 % interval: NaN for one seed."""
    by_seed: dict[int, list[float]] = {}
    for row in rows:
        by_seed.setdefault(row.seed, []).append(value(row))
    means = [math.fsum(values) / len(values) for values in by_seed.values()]
    return difference([0.0] * len(means), means)


def way(rows: Sequence[Row], ideal: Sequence[Row]) -> float:
    """How far the mean score is on the way from 100 to clairvoyant's, in %; NaN where clairvoyance gains nothing."""
    score, most = mean_over_seeds(rows).mean, mean_over_seeds(ideal).mean
    return 100 * (score - 100) / (most - 100) if most > 100 else math.nan


def page(rows: Sequence[Row], header: Header, plots: Mapping[str, str] | None) -> str:
    """The text of the board; plots: a picture's name by family, or None where matplotlib is not installed.

    Equal arguments give equal text.
    """
    seeds = ", ".join(str(seed) for seed in dict.fromkeys(row.seed for row in rows))
    versions = ", ".join(f"{name} {version}" for name, version in header.versions.items())
    lines = [
        "# Leaderboard",
        f"For readers who compare policies. Measured on {header.date}, with {versions}; seeds {seeds}.",
        "The traces are generated; no trace is a recording. A score is the mean over cases of 100 times DS-EPLB's",
        "modeled seconds over the policy's. With several seeds, ± is half of their 95 % interval (Student's t). PAR is",
        "the peak-to-average ratio. Seconds were measured on this machine while other policies ran, too.",
        "`tools/leaderboard.py` writes this page.",
        *([] if plots is not None else ["", NO_PLOTS]),
    ]
    for family in dict.fromkeys(row.family for row in rows):
        of_family = [row for row in rows if row.family == family]
        lines += ["", f"## {family}", *_family(of_family)]
        if plots and family in plots:
            lines += ["", f"![Scores by dataset, PAR against transmit, score against seconds]({plots[family]})"]
    if header.failed:
        lines += ["", "## Not on the board", ""]
        lines += [f"- {name}: {' '.join(reason.split())}" for name, reason in header.failed.items()]
    lines += ["", "## What was measured", "", markdown(("policy", "sha256"), header.policies.items()), ""]
    traces = dict.fromkeys((row.family, row.seed, f"{row.model}/{row.dataset}", row.trace_sha256) for row in rows)
    lines.append(markdown(("family", "seed", "trace", "sha256"), ((*t[:3], t[3][:HASH_DIGITS]) for t in traces)))
    return "\n".join(lines) + "\n"


def ranked(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The rows by policy, the best first; clairvoyance stands among the policies."""
    by_policy: dict[str, list[Row]] = {}
    for row in rows:
        by_policy.setdefault(row.policy, []).append(row)
    return dict(sorted(by_policy.items(), key=lambda item: (-mean_over_seeds(item[1]).mean, item[0])))


def _family(rows: Sequence[Row]) -> list[str]:
    by_policy = ranked(rows)
    ideal = by_policy[CLAIRVOYANT]
    policies = {name: own for name, own in by_policy.items() if name != CLAIRVOYANT}
    parts = _groups(rows, part_of)
    head = ("policy", "all cases", *parts, "worst case, mean", "worst case")
    scores = [
        (name, *(_text(mean_over_seeds(some)) for some in _split(own, part_of, parts)), *_worst(own))
        for name, own in by_policy.items()
    ]
    # After every policy that is not worse.
    place = sum(mean_over_seeds(own).mean >= 100 for own in by_policy.values())
    scores.insert(place, (BASELINE, *["100.00"] * (len(parts) + 3)))
    ways = [
        (name, *map(way, _split(own, part_of, parts), _split(ideal, part_of, parts))) for name, own in policies.items()
    ]
    lines = ["", "Scores:", "", markdown(head, scores)]
    lines += ["", "Per cent of the way from 100 to clairvoyance:", "", markdown(head[:-2], ways, ".0f")]
    for heading, group in (("By dataset", _trace), ("By ep", _ep)):
        groups = _groups(rows, group)
        if groups != parts:
            table = [
                (name, *(mean_over_seeds(some).mean for some in _split(own, group, groups)[1:]))
                for name, own in by_policy.items()
            ]
            lines += ["", f"{heading}:", "", markdown(("policy", *groups), table)]
    costs = [(name, *_costs(own)) for name, own in policies.items()]
    titles = ("policy", "mean PAR", "changed slots of a seed", "slowest call, s")
    return [*lines, "", "Costs:", "", markdown(titles, costs, ".3f")]


def _worst(rows: Sequence[Row]) -> tuple[float, float]:
    """The least mean over seeds of a case, and the least score of a case on one seed."""
    cases = [[row for row in rows if row.case == case] for case in dict.fromkeys(row.case for row in rows)]
    return min(mean_over_seeds(case).mean for case in cases), min(row.score for row in rows)


def _costs(rows: Sequence[Row]) -> tuple[float, int, float]:
    seeds = len({row.seed for row in rows})
    slots = round(sum(row.transmit for row in rows) / seeds)
    return mean_over_seeds(rows, lambda row: row.mean_par).mean, slots, max(row.slowest_call_seconds for row in rows)


def _split(rows: Sequence[Row], group: Group, groups: Sequence[str]) -> list[Sequence[Row]]:
    """All rows, then those of each group."""
    return [rows, *([row for row in rows if group(row) == name] for name in groups)]


def _groups(rows: Iterable[Row], group: Group) -> list[str]:
    return list(dict.fromkeys(map(group, rows)))


def _trace(row: Row) -> str:
    return f"{row.model}/{row.dataset}"


def _ep(row: Row) -> str:
    return f"ep {row.ep}"


def _text(value: Difference) -> str:
    return f"{value.mean:.2f}" + ("" if math.isnan(value.high) else f" ± {value.high - value.mean:.2f}")
