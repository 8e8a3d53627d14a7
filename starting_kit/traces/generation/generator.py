"""Traces drawn from a profile's parameters, block by block."""

from __future__ import annotations

import numpy as np

from .counts import draw_counts, draw_tokens
from .profile import Parameters
from .shares import STEP, expert_shares
from .timing import Timing, drawn_timing, fitted_timing


def generate(
    parameters: Parameters, iterations: int, layers: int, experts: int, seed: int, fitted: bool = False
) -> np.ndarray:
    """Generate a trace: tokens routed to each expert, int32 [iteration, layer, expert].

    The same arguments give the same trace, and a longer trace begins with the shorter one of the same seed. Period,
    phase and switches come from the seed; fitted: they are the profile's, and nothing else changes. Beside the trace
    only a block of STEP iterations is held. Raises ValueError for an empty shape, for fewer experts than top_k, for a
    negative seed, and for parameters that leave the range of the numbers.
    """
    p = parameters
    if min(iterations, layers, experts) < 1:
        raise ValueError(f"a trace needs at least one of each, got shape [{iterations}, {layers}, {experts}]")
    if experts < p.top_k:
        raise ValueError(f"a token cannot choose {p.top_k} different experts of {experts}")
    if seed < 0:
        raise ValueError(f"seed must not be negative, got {seed}")
    share_seed, _, token_seed, count_seed = _streams(seed)
    timing = timing_of(p, seed, fitted)
    whole_blocks = -(-iterations // STEP) * STEP
    tokens = draw_tokens(p, whole_blocks, np.random.Generator(np.random.PCG64(token_seed)))
    rng = np.random.Generator(np.random.PCG64(count_seed))
    trace = np.empty((iterations, layers, experts), np.int32)
    for number, share in enumerate(expert_shares(p, timing, iterations, layers, experts, share_seed)):
        block = slice(number * STEP, (number + 1) * STEP)
        # A block that the trace's end cuts off is drawn whole, so that a longer trace begins with the same counts.
        trace[block] = draw_counts(p, share, tokens[block], rng)[: iterations - block.start]
    return trace


def timing_of(parameters: Parameters, seed: int, fitted: bool = False) -> Timing:
    """The timing of generate's trace; fitted: the profile's. Raises ValueError for a negative seed."""
    if fitted:
        return fitted_timing(parameters)
    return drawn_timing(parameters, np.random.Generator(np.random.PCG64(_streams(seed)[1])))


def _streams(seed: int) -> list[np.random.SeedSequence]:
    """The seeds of shares, timing, tokens and counts.

    A stream for each purpose: the length of the trace then changes none of the draws before its end.
    """
    return np.random.SeedSequence(seed).spawn(4)
