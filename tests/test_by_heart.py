"""What is learned by heart of generated traces: worth something where timing is held, nothing where seeds draw it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from judging.by_heart import (
    BLOCK,
    drawn_switches,
    extrapolated,
    kept,
    learned_course,
    mean_par,
    replay_of,
    since,
    waves,
)
from judging.gains import gain
from placement import balance
from placement.deployment import initial_deployment
from placement.ds_eplb import ds_eplb
from traces.generation.generator import generate
from traces.generation.profile import FOLDER, Parameters, read_profile

SHIPPED = read_profile(FOLDER / "DS-R1" / "LmSys.yaml").parameters
# Eight times as fast, on a small model; seeds move as much as they do in the profile that ships.
FAST = replace(SHIPPED, topic_period=SHIPPED.topic_period / 8, own_memory=SHIPPED.own_memory / 8)
# Iterations, layers, experts, devices, window.
SHAPE = 768, 4, 64, 32, 128
FIRST = SHAPE[-1] // BLOCK
TRIED = range(11, 17)


def gains_of(p: Parameters, learned: int, fitted: bool) -> list[float]:
    """What the learned seed's wave gains on other seeds over keeping the first placement, in %."""
    course = learned_course(replay_of(p, *SHAPE, learned, fitted))
    replays = [replay_of(p, *SHAPE, seed, fitted) for seed in TRIED]
    return [
        100 * (1 - mean_par(replay, extrapolated(course, FIRST)) / mean_par(replay, kept(SHAPE[-1])))
        for replay in replays
    ]


def test_a_wave_that_is_known_by_heart_gains_only_where_timing_is_held() -> None:
    # Waves that outdo all else, so that a few seeds tell.
    strong = replace(FAST, topic_strength=0.4, layer_sigma=0.2)
    held, drawn = ([np.mean(gains_of(strong, learned, fitted)) for learned in range(1, 5)] for fitted in (True, False))
    assert min(held) > 0 and np.mean(held) > 0.5
    assert np.mean(drawn) < 0


def test_knowing_the_family_of_waves_gains_little() -> None:
    replays = [replay_of(FAST, *SHAPE, seed) for seed in TRIED]
    wave = waves(len(replays[0].shares), 2000 / 8)
    gains = [100 * (1 - mean_par(r, extrapolated(wave)) / mean_par(r, kept(SHAPE[-1]))) for r in replays]
    assert 0 < np.mean(gains) < 1.5


def test_a_forecast_is_measured_as_a_replay_measures() -> None:
    iterations, layers, experts, devices, window = SHAPE
    hotness = np.maximum(generate(FAST, iterations, layers, experts, 1), 1)
    live = plan = initial_deployment(layers, experts, devices)
    pending: list[int] = []
    total, call = 0.0, window + 1
    for i in range(1, iterations + 1):
        for layer in range(layers):
            row = hotness[i - 1, layer][:, None]
            total += balance.par(row, row.sum(axis=0), live[layer])[0]
        if pending:
            layer = pending.pop(0)
            live[layer] = plan[layer]
            call = i + window + 1
        elif i == call:
            blocks = hotness[: i // BLOCK * BLOCK].reshape(-1, BLOCK, layers, experts).sum(axis=1)[-FIRST:]
            shares = (blocks / blocks.sum(axis=2, keepdims=True)).astype(np.float32)
            plan, pending = ds_eplb(shares.mean(axis=0), devices, devices), list(range(layers))
    replay = replay_of(FAST, *SHAPE, seed=1)
    assert mean_par(replay, since(np.array([]), FIRST)) == pytest.approx(total / (iterations * layers), rel=1e-9)


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
    regimes = {"switches": (200,), "regime_common": (0.0, 0.0), "regime_strength": (1.0, 1.0)}
    mix = replace(FAST, **regimes, switch_width=1.0, switch_range=64.0, topic_strength=0.0)
    for seed in (1, 2, 3):
        shares = generate(mix, 400, 4, 64, seed).reshape(400, -1)
        jumps = np.abs(np.diff(shares[::16].astype(float), axis=0)).sum(axis=1)
        assert abs(16 * (jumps.argmax() + 0.5) - drawn_switches(mix, seed)[0]) <= 16


def test_a_gain_has_the_larger_of_its_two_standard_errors() -> None:
    measured = [{"kept": [2.0], "other": [1.98, 2.02]}, {"kept": [4.0], "other": [3.96, 4.04]}]
    assert gain(measured, "other", "kept") == pytest.approx((0.0, 1.0))
    alike = [{"kept": [2.0], "own": [1.9]}, {"kept": [2.0], "own": [1.8]}]
    assert gain(alike, "own", "kept") == pytest.approx((7.5, 2.5))
