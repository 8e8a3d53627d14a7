"""What is learned by heart of generated traces: worth something where timing is held, nothing where seeds draw it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from judging import gains
from judging.by_heart import (
    BLOCK,
    extrapolated,
    kept,
    learned_course,
    mean_par,
    setting_of,
    since,
    switch_ends,
    waves,
)
from judging.gains import Measured, gain, measure_switches
from placement.grid import Case
from traces.generation.generator import generate
from traces.generation.profile import FOLDER, Parameters, Profile, read_profile

SHIPPED = read_profile(FOLDER / "DS-R1" / "LmSys.yaml").parameters
# Eight times as fast, on a small model; seeds move as much as they do in the profile that ships.
FAST = replace(SHIPPED, topic_period=SHIPPED.topic_period / 8, own_memory=SHIPPED.own_memory / 8)
SMALL = Case("DS-R1", "LmSys", ep=32, redundant_experts=32, layers=4, experts=64, window=128, latency=0)
ITERATIONS, FIRST = 768, SMALL.window // BLOCK
TRIED = range(11, 17)
# Half the shipped window, so twice as fast.
MIX_WINDOW = 512
MIX = read_profile(FOLDER / "DS-R1" / "Mix.yaml").parameters
FAST_MIX = replace(
    MIX, topic_period=MIX.topic_period / 2, own_memory=MIX.own_memory / 2, switch_range=MIX.switch_range / 2
)
# Two regimes that have nothing in common.
ONE_SWITCH = {"regime_common": (0.0, 0.0), "regime_strength": (1.0, 1.0)}


def gains_of(p: Parameters, learned: int, fitted: bool) -> list[float]:
    """What the learned seed's wave gains on other seeds over keeping the first placement, in %."""
    course = learned_course(setting_of(p, SMALL, ITERATIONS, learned, fitted))
    settings = [setting_of(p, SMALL, ITERATIONS, seed, fitted) for seed in TRIED]
    return [100 * (1 - mean_par(s, extrapolated(course, FIRST)) / mean_par(s, kept(SMALL.window))) for s in settings]


def test_a_wave_that_is_known_by_heart_gains_only_where_timing_is_held() -> None:
    # Waves that outdo all else, so that a few seeds tell.
    strong = replace(FAST, topic_strength=0.4, layer_sigma=0.2)
    held, drawn = ([np.mean(gains_of(strong, learned, fitted)) for learned in range(1, 5)] for fitted in (True, False))
    assert min(held) > 0 and np.mean(held) > 0.5
    assert np.mean(drawn) < 0


def switch_gains_of(p: Parameters, learned: int, fitted: bool) -> list[float]:
    """What forgetting before the learned seed's switches gains on other seeds over planning from the window, in %."""
    case, first = replace(SMALL, dataset="Mix", window=MIX_WINDOW), MIX_WINDOW // BLOCK
    known, unknown = since(switch_ends(p, learned, fitted), first), since(np.array([]), first)
    # One call, and what its plan is worth until the next.
    settings = [setting_of(p, case, 2 * MIX_WINDOW + case.layers + 1, seed, fitted) for seed in TRIED]
    return [100 * (1 - mean_par(s, known) / mean_par(s, unknown)) for s in settings]


def test_switches_that_are_known_by_heart_gain_only_where_timing_is_held() -> None:
    # Another world comes and goes before the call. Where it went as known, only what is to come is planned from; where
    # it went later, that world is.
    excursion = {"switches": (256, 440), "switch_width": 2.0, "regime_common": (1.0, 0.0, 0.9)}
    away = replace(FAST_MIX, **excursion, regime_strength=(1.0, 1.0, 1.0))
    assert min(switch_gains_of(away, 1, fitted=True)) > 0
    drawn = [np.mean(switch_gains_of(away, learned, fitted=False)) for learned in range(1, 5)]
    assert max(drawn) < 0


def test_knowing_the_family_of_waves_gains_little() -> None:
    settings = [setting_of(FAST, SMALL, ITERATIONS, seed) for seed in TRIED]
    wave = waves(ITERATIONS // BLOCK, 2000 / 8)
    gained = [100 * (1 - mean_par(s, extrapolated(wave)) / mean_par(s, kept(SMALL.window))) for s in settings]
    assert 0 < np.mean(gained) < 1.5


def test_what_follows_a_course_is_extrapolated() -> None:
    course = np.array([[0.0], [1.0], [0.0], [-2.0]])
    seen = np.array([[[0.25, 0.75]], [[0.5, 0.5]]])
    assert extrapolated(course)(seen, np.array([2, 3])) == pytest.approx(np.array([[0.0, 1.0]]))
    assert extrapolated(course, 2)(np.concatenate([seen, seen]), np.array([1])) == pytest.approx(seen[1])


def test_what_was_before_a_known_switch_is_forgotten_once_enough_was_seen_after_it() -> None:
    shares = np.arange(10.0)[:, None, None]
    forecast = since(np.array([3.5 * BLOCK]), None)
    assert forecast(shares[:7], np.array([8])) == 3.0  # three blocks after the switch: too few
    assert forecast(shares[:8], np.array([9])) == 5.5
    assert since(np.array([3.5 * BLOCK]), 2)(shares[:8], np.array([9])) == 6.5


def test_the_switches_known_by_heart_are_the_traces_own() -> None:
    mix = replace(FAST, switches=(200,), **ONE_SWITCH, switch_width=1.0, switch_range=64.0, topic_strength=0.0)
    for seed in (1, 2, 3):
        shares = generate(mix, 400, 4, 64, seed).reshape(400, -1)
        jumps = np.abs(np.diff(shares[::16].astype(float), axis=0)).sum(axis=1)
        assert abs(16 * (jumps.argmax() + 0.5) - switch_ends(mix, seed)[0]) <= 16


@pytest.fixture
def measured_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[list[str]], list[Measured]]:
    """Measures the switches on a small model; what is shown is appended to a list."""
    for name, value in (("KEPT", tmp_path), ("EP", 32), ("WINDOW", 128), ("TRIED", (11, 12)), ("LEARNED", (1,))):
        monkeypatch.setattr(gains, name, value)
    profile = Profile("DS-R1", "Small", 2, 64, 400, "made up", replace(FAST, switches=(150,), **ONE_SWITCH))
    return lambda lines: measure_switches(profile, lines.append)


def test_what_was_measured_is_kept_and_measured_again_where_it_is_damaged(
    measured_small: Callable[[list[str]], list[Measured]], tmp_path: Path
) -> None:
    lines: list[str] = []
    first = measured_small(lines)
    assert lines == ["DS-R1/Small, seed 11: measured", "DS-R1/Small, seed 12: measured"]
    assert measured_small(lines) == first and len(lines) == 2
    [kept] = [file for file in tmp_path.iterdir() if json.loads(file.read_bytes())["made_of"]["seed"] == 12]
    for number, content in enumerate(("", "{", "{}", "[]", '{"all": null}', '{"all": ["x"]}')):
        kept.write_text(content, encoding="utf-8")
        assert measured_small(lines) == first
        assert lines[2 + number :] == ["DS-R1/Small, seed 12: measured"]


def test_what_another_simulator_or_numpy_measured_is_not_taken(
    measured_small: Callable[[list[str]], list[Measured]], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    measured_small(lines)
    monkeypatch.setattr(np, "__version__", "0.0")
    measured_small(lines)
    assert len(lines) == 4
    monkeypatch.setattr(gains, "simulator_sha256", lambda *package: "another")
    measured_small(lines)
    assert len(lines) == 6


def test_a_gain_has_the_larger_of_its_two_standard_errors() -> None:
    measured = [{"kept": [2.0], "other": [1.98, 2.02]}, {"kept": [4.0], "other": [3.96, 4.04]}]
    assert gain(measured, "other", "kept") == pytest.approx((0.0, 1.0))
    alike = [{"kept": [2.0], "own": [1.9]}, {"kept": [2.0], "own": [1.8]}]
    assert gain(alike, "own", "kept") == pytest.approx((7.5, 2.5))
