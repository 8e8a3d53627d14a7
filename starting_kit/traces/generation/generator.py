"""Traces drawn from a profile's parameters, block by block."""

from __future__ import annotations

import numpy as np

from .counts import draw_counts, draw_tokens
from .log_loads import log_loads
from .profile import Parameters


def generate(parameters: Parameters, iterations: int, layers: int, experts: int, seed: int) -> np.ndarray:
    """Generate a trace: tokens routed to each expert, int32 [iteration, layer, expert].

    The same arguments give the same trace, and a longer trace begins with the shorter one of the same seed. Beside
    the trace only a block of `iterations_per_weight` iterations is held. Raises ValueError for an empty shape, for
    fewer experts than top_k, for a negative seed, and for parameters that leave the range of the numbers.
    """
    p = parameters
    if min(iterations, layers, experts) < 1:
        raise ValueError(f"a trace needs at least one of each, got shape [{iterations}, {layers}, {experts}]")
    if experts < p.top_k:
        raise ValueError(f"a token cannot choose {p.top_k} different experts of {experts}")
    if seed < 0:
        raise ValueError(f"seed must not be negative, got {seed}")
    # A stream for each purpose: the length of the trace then changes none of the draws before its end.
    load_seed, token_seed, count_seed = np.random.SeedSequence(seed).spawn(3)
    rows = p.iterations_per_weight
    whole_blocks = -(-iterations // rows) * rows
    tokens = draw_tokens(p, whole_blocks, np.random.Generator(np.random.PCG64(token_seed)))
    rng = np.random.Generator(np.random.PCG64(count_seed))
    trace = np.empty((iterations, layers, experts), np.int32)
    for number, log_load in enumerate(log_loads(p, iterations, layers, experts, load_seed)):
        if not np.isfinite(log_load).all():
            raise ValueError("these parameters give log loads that are not finite")
        block = slice(number * rows, (number + 1) * rows)
        # A block that the trace's end cuts off is drawn whole, so that a longer trace begins with the same counts.
        trace[block] = draw_counts(p, log_load, tokens[block], rng)[: iterations - block.start]
    return trace
