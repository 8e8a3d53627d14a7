"""A common subset: a few experts of a layer, small enough for an oracle, that every method plans too."""

from __future__ import annotations

import numpy as np

from placement.errors import Problem

from ..traces.batches import Batches

HOTTEST, DRAWN = "hottest", "drawn"


def subset(batches: Batches, experts: int, choose: str = HOTTEST, seed: int = 0, among: int = 0) -> Batches:
    """The choices of some experts alone, numbered anew in the order of their ids; each choice is a token of its own.

    A token keeps as many choices as lie in the subset, mostly not k of them, so loads and origins are those of the
    trace, and what a token's choices have to do with one another is not. choose: the hottest experts, or some that are
    drawn; among: of the ids below it, 0 for all. Raises Problem for more experts than there are, and where a batch has
    no choice of them left.
    """
    among = among or batches.experts
    if not 1 <= experts <= among:
        got, expected = f"{experts} experts", f"1 to the {among} of the trace"
        raise Problem("the subset has no such number of experts", got, expected, "correct --experts")
    order = np.argsort(-batches.load.sum(axis=0)[:among], kind="stable")
    if choose == DRAWN:
        order = np.random.default_rng([seed, 4]).permutation(among)
    number = np.full(batches.experts, -1)
    number[np.sort(order[:experts])] = np.arange(experts)
    token, choice = np.nonzero(number[batches.choices] >= 0)
    sizes = np.bincount(batches.batch_of_token[token], minlength=batches.count)
    if not sizes.all():
        got, expected = f"{np.count_nonzero(sizes == 0)} of {batches.count} batches without one", "a choice in each"
        raise Problem("the subset has too few choices", got, expected, "take more --experts, or larger batches")
    choices = number[batches.choices[token, choice]][:, None]
    return Batches(experts, choices, batches.origins[token], np.append(0, np.cumsum(sizes)))


def as_one(batches: Batches) -> Batches:
    """All tokens as one batch, so that its loads are those of the sample."""
    return Batches(batches.experts, batches.choices, batches.origins, np.array([0, len(batches.choices)]))
