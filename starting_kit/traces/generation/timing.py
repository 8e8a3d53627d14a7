"""When things move: the topics' wave, and the switches from one regime to the next.

    w_k(t) = topic_strength * sqrt(2 / (1 + g^2 + h^2)) * (cos x - g sin 2x + h cos 3x), x = 2 pi (t / P_k + phase),
             g second_harmonic, h third_harmonic: of root mean square topic_strength. g makes the fall quick at first
             and slow in the middle, h slow in the middle of fall and rise
    P_k    = period * (1 + topic_period_spread * u_k), u_k uniform, one in each of as many parts of -1 .. 1
    g_i(t) = 0 before switch i, 1 after it, linear over the switch_width iterations around it
    f_r(t) = g_r(t) - g_{r+1}(t): the part that regime r has in the load (g_0 = 1, and 0 beyond the last)

As fitted, the phase is 0: the wave starts at its crest, or just after it where g is above 0. A seed moves the period by
at most period_range of it, the phase by phase_range of a period, and each switch by switch_range iterations, so that
none can be learned by heart.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .profile import Parameters


class Timing(NamedTuple):
    """period in iterations, phase in periods, switches: iterations, rising."""

    period: float
    phase: float
    switches: np.ndarray


def fitted_timing(p: Parameters) -> Timing:
    """The timing as a profile's fit has it."""
    return Timing(p.topic_period, 0.0, np.array(p.switches, float))


def drawn_timing(p: Parameters, rng: np.random.Generator) -> Timing:
    """A timing near the fitted one, uniform within the ranges of the profile."""
    period, phase = rng.uniform(-1, 1, 2) * (p.period_range, p.phase_range)
    moved = p.switches + p.switch_range * rng.uniform(-1, 1, len(p.switches))
    return Timing(p.topic_period * (1 + period), phase, np.sort(moved))


def draw_spread(p: Parameters, rng: np.random.Generator) -> np.ndarray:
    """u_k: float64 [topic], in random order."""
    return rng.permutation(2 * (np.arange(p.topics) + rng.random(p.topics)) / p.topics - 1)


def topic_weights(p: Parameters, timing: Timing, spread: np.ndarray, t: int) -> np.ndarray:
    """w_k of iteration t, counted from 0: float64 [topic]; spread: u_k."""
    x = 2 * np.pi * (t / (timing.period * (1 + p.topic_period_spread * spread)) + timing.phase)
    wave = np.cos(x) - p.second_harmonic * np.sin(2 * x) + p.third_harmonic * np.cos(3 * x)
    return p.topic_strength * np.sqrt(2 / (1 + p.second_harmonic**2 + p.third_harmonic**2)) * wave


def regime_weights(p: Parameters, timing: Timing, t: int) -> np.ndarray:
    """f_r of iteration t, counted from 0: float64 [regime], adding up to 1."""
    begun = np.clip((t - timing.switches) / p.switch_width + 0.5, 0, 1)
    return -np.diff(begun, prepend=1.0, append=0.0)
