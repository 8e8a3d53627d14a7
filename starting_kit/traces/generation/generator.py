"""Traces drawn from a profile's parameters, block by block."""

from __future__ import annotations

from typing import Any

import numpy as np

from .counts import draw_counts, draw_tokens
from .profile import Parameters
from .shares import STEP, Shares
from .timing import Timing, drawn_timing, fitted_timing


def generate(
    parameters: Parameters, iterations: int, layers: int, experts: int, seed: int, fitted: bool = False
) -> np.ndarray:
    """Generate a trace: tokens routed to each expert, int32 [iteration, layer, expert].

    The arguments, and what is raised, are those of `Drawing`, of which it is every block.
    """
    drawing = Drawing(parameters, iterations, layers, experts, seed, fitted)
    trace = np.empty((iterations, layers, experts), np.int32)
    for first in range(0, iterations, STEP):
        trace[first : first + STEP] = drawing.draw()[: iterations - first]
    return trace


class Drawing:
    """A trace as it is drawn: one block of STEP iterations after the other, of which none is kept.

    The same arguments give the same trace, and a longer trace begins with the shorter one of the same seed. Period,
    phase and switches come from the seed; fitted: they are the profile's, and nothing else changes.
    """

    def __init__(
        self, parameters: Parameters, iterations: int, layers: int, experts: int, seed: int, fitted: bool = False
    ) -> None:
        """Raises ValueError for an empty shape, for fewer experts than top_k, for a negative seed, and for parameters
        that leave the range of the numbers."""
        p = parameters
        if min(iterations, layers, experts) < 1:
            raise ValueError(f"a trace needs at least one of each, got shape [{iterations}, {layers}, {experts}]")
        if experts < p.top_k:
            raise ValueError(f"a token cannot choose {p.top_k} different experts of {experts}")
        if seed < 0:
            raise ValueError(f"seed must not be negative, got {seed}")
        share_seed, _, token_seed, count_seed = _streams(seed)
        self._parameters = p
        # A block that the trace's end cuts off is drawn whole, so that a longer trace begins with the same counts.
        blocks = -(-iterations // STEP)
        self._tokens = draw_tokens(p, blocks * STEP, np.random.Generator(np.random.PCG64(token_seed)))
        self._counts = np.random.Generator(np.random.PCG64(count_seed))
        self._shares = Shares(p, timing_of(p, seed, fitted), layers, experts, share_seed)
        self.block = 0

    def draw(self) -> np.ndarray:
        """The counts of the block with the number `block`, int32 [STEP, layer, expert]; goes on to the next."""
        share = self._shares.draw()
        tokens = self._tokens[self.block * STEP : (self.block + 1) * STEP]
        self.block += 1
        return draw_counts(self._parameters, share, tokens, self._counts)

    def mark(self) -> tuple[int, Any, Any]:
        """Where it stands: the next block's number, and what that is drawn from."""
        return self.block, self._shares.mark(), self._counts.bit_generator.state

    def go_to(self, mark: tuple[int, Any, Any]) -> None:
        """Stand where `mark` was made."""
        self.block, shares, self._counts.bit_generator.state = mark
        self._shares.go_to(shares)


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
