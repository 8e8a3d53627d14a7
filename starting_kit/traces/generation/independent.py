"""The independent family: a profile's popularity, tokens and sampling, and experts that drift each alone.

No topic moves experts together. Each expert's log load is the sum of Ornstein-Uhlenbeck processes with the memories
MEMORIES, in iterations, each with an equal part of the variance. The whole variance is the profile's:

    own_drift^2 = topic_strength^2 + own_drift^2 of the profile

A profile's regimes belong to its popularity and stay: a trace of Mix switches in this family, too.
"""

from __future__ import annotations

from dataclasses import replace
from math import sqrt

from .profile import Parameters

MEMORIES = (60.0, 400.0, 1500.0)


def independent(p: Parameters) -> Parameters:
    """The parameters of the independent trace that belongs to a profile's."""
    drift = sqrt(p.topic_strength**2 + p.own_drift**2)
    return replace(p, topic_strength=0.0, own_drift=drift, own_memory=MEMORIES)
