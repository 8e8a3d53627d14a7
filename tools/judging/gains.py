"""What policies gain by what they know by heart: means over seeds, in % of mean PAR."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from commands.places import OUTPUT
from commands.seeds import GENERATION
from placement.grid import Case
from placement.submission.receipt import file_sha256, simulator_sha256
from scores.table import markdown
from traces.generation.profile import Profile
from traces.store import once

from .by_heart import (
    BLOCK,
    FAMILY_PERIOD,
    Forecast,
    extrapolated,
    kept,
    learned_course,
    mean_par,
    setting_of,
    since,
    switch_ends,
    waves,
)

KEPT = OUTPUT / "by_heart"
EP, WINDOW = 256, 1024
# The seeds that something is learned from, and those that it is tried on.
LEARNED, TRIED = range(801, 809), range(701, 709)
# A wave is the same in all layers: two show it.
LEARNED_LAYERS = 2
NO_SWITCH = np.array([])
# By what is known: one forecast, or one for each learned seed; and the mean PAR of each.
Forecasts = dict[str, list[Forecast]]
Measured = dict[str, list[float]]


def measure_wave(profile: Profile, show: Callable[[str], None]) -> list[Measured]:
    """For each tried seed: policies that know another seed's wave, the seed's own, the family's, and nothing."""
    first, wave = WINDOW // BLOCK, waves(profile.iterations // BLOCK, FAMILY_PERIOD)
    courses = [_course(profile, seed) for seed in LEARNED]

    def policies(seed: int) -> Forecasts:
        return {
            "kept": [kept(WINDOW)],
            "window": [since(NO_SWITCH, first)],
            "all": [since(NO_SWITCH, None)],
            "other": [extrapolated(course, first) for course in courses],
            "own": [extrapolated(_course(profile, seed), first)],
            "crest": [extrapolated(wave[:, :1], first)],
            "crest, all": [extrapolated(wave[:, :1])],
            "both": [extrapolated(wave, first)],
            "both, all": [extrapolated(wave)],
        }

    return _measure(profile, policies, show)


def measure_switches(profile: Profile, show: Callable[[str], None]) -> list[Measured]:
    """For each tried seed: policies that forget what was before another seed's switches, the seed's own, or nothing."""
    p, first = profile.parameters, WINDOW // BLOCK

    def policies(seed: int) -> Forecasts:
        own, others = switch_ends(p, seed), [switch_ends(p, other) for other in LEARNED]
        return {
            "window": [since(NO_SWITCH, first)],
            "all": [since(NO_SWITCH, None)],
            "window, other": [since(switches, first) for switches in others],
            "window, own": [since(own, first)],
            "all, other": [since(switches, None) for switches in others],
            "all, own": [since(own, None)],
        }

    return _measure(profile, policies, show)


def gain(measured: Sequence[Measured], policy: str, base: str) -> tuple[float, float]:
    """Gain over the base in %, and its standard error over the tried seeds, or over the learned if that is larger."""
    # [tried, learned or 1]
    gains = 100 * (1 - np.array([one[policy] for one in measured]) / np.array([one[base] for one in measured]))
    errors = [
        means.std(ddof=1) / len(means) ** 0.5 for means in (gains.mean(axis=0), gains.mean(axis=1)) if len(means) > 1
    ]
    return float(gains.mean()), float(max(errors))


def wave_table(measured: Sequence[Measured]) -> str:
    """Markdown: what is gained over keeping the first placement."""
    titles = {
        "other": "another seed's wave, extrapolated from the first window",
        "own": "this seed's wave, the same way",
        "crest": f"the family: cosine of period {FAMILY_PERIOD:.0f}, crest at 0, from the first window",
        "crest, all": "the same, from all seen",
        "both": f"the family: cosine and sine of period {FAMILY_PERIOD:.0f}, from the first window",
        "both, all": "the same, from all seen",
        "all": "nothing: the mean of all seen",
        "window": "nothing: the mean of the window",
    }
    return _table(measured, titles, ["kept"], ["gain over keeping the first placement, %"])


def switches_table(measured: Sequence[Measured]) -> str:
    """Markdown: what is gained over the window's mean, and over the mean of all seen."""
    titles = {
        "window, other": "the window's mean from another seed's switch on",
        "window, own": "the window's mean from this seed's switch on",
        "all, other": "the mean of all seen from another seed's switch on",
        "all, own": "the mean of all seen from this seed's switch on",
        "all": "nothing: the mean of all seen",
    }
    return _table(
        measured, titles, ["window", "all"], ["gain over the window's mean, %", "over the mean of all seen, %"]
    )


def _table(measured: Sequence[Measured], titles: dict[str, str], bases: Iterable[str], headings: Iterable[str]) -> str:
    cells = [["{:+.2f} ({:.2f})".format(*gain(measured, name, base)) for base in bases] for name in titles]
    return markdown(["known by heart", *headings], [[t, *row] for t, row in zip(titles.values(), cells, strict=True)])


def _course(profile: Profile, seed: int) -> np.ndarray:
    case = replace(_case(profile), layers=LEARNED_LAYERS)
    return learned_course(setting_of(profile.parameters, case, profile.iterations, seed))


def _case(profile: Profile) -> Case:
    return Case(profile.model, profile.dataset, EP, EP, profile.layers, profile.experts, WINDOW, latency=0)


def _measure(profile: Profile, policies: Callable[[int], Forecasts], show: Callable[[str], None]) -> list[Measured]:
    """Mean PAR with each forecast on each tried seed; what was measured before is kept."""
    return [
        once(KEPT, _made_of(profile) | {"seed": seed}, lambda seed=seed: _one(profile, seed, policies, show))
        for seed in TRIED
    ]


def _one(profile: Profile, seed: int, policies: Callable[[int], Forecasts], show: Callable[[str], None]) -> Measured:
    setting = setting_of(profile.parameters, _case(profile), profile.iterations, seed)
    known = policies(seed)
    one = {name: [mean_par(setting, forecast) for forecast in known[name]] for name in known}
    show(f"{profile.name}, seed {seed}: measured")
    return one


def _made_of(profile: Profile) -> dict[str, Any]:
    """All that a measurement depends on but the seed."""
    return {
        "unit": "gains by heart",
        "profile": asdict(profile),
        "ep": EP,
        "window": WINDOW,
        "learned": list(LEARNED),
        **{f"{name}.py": file_sha256(Path(__file__).with_name(f"{name}.py")) for name in ("by_heart", "gains")},
        "simulator": simulator_sha256(),
        "generation": simulator_sha256(GENERATION),
        "numpy": np.__version__,
    }
