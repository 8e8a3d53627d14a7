"""The benchmark's ratios against their bars: seconds differ between machines, ratios travel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Bar(NamedTuple):
    """A ratio of each case, by its key in benchmark.json, and the most or the least that it may be."""

    key: str
    name: str
    limit: float
    most: bool = True


BARS = (
    Bar("hash_passes", "hash", 5),
    Bar("replay_passes", "replay", 9),
    Bar("case_passes", "replay with opening", 18),
    Bar("plain_loop_ratio", "plain loop", 80, most=False),
)


def measured(bar: Bar, numbers: Mapping[str, Any]) -> float:
    """The worst case's ratio."""
    return (max if bar.most else min)(row[bar.key] for row in numbers["cases"])


def holds(bar: Bar, value: float) -> bool:
    """Whether a ratio keeps its bar."""
    return value <= bar.limit if bar.most else value >= bar.limit


def sentence(bar: Bar, value: float) -> str:
    """A ratio beside its bar."""
    return f"{bar.name} {value:.1f} of at {'most' if bar.most else 'least'} {bar.limit:g}"


def check_bars(numbers: Mapping[str, Any]) -> tuple[str, list[str]]:
    """All ratios beside their bars, and those that break them; numbers: the content of benchmark.json."""
    pairs = [(bar, measured(bar, numbers)) for bar in BARS]
    broken = [sentence(bar, value) for bar, value in pairs if not holds(bar, value)]
    return ", ".join(sentence(bar, value) for bar, value in pairs), broken
