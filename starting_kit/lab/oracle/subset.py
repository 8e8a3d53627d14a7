"""A common subset: a few experts of a layer, small enough for an oracle, that every method plans too."""

from __future__ import annotations

import numpy as np

from placement.errors import Problem

from ..traces.batches import Batches

HOTTEST, DRAWN = "hottest", "drawn"


def subset(batches: Batches, experts: int, choose: str = HOTTEST, seed: int = 0, among: int = 0) -> Batches:
    """The choices of some experts alone, each as a token of its own: loads and origins are those of the trace.

    Arguments as numbered. Raises Problem as it does, and where a batch has no choice of them left.
    """
    choices = numbered(batches, experts, choose, seed, among)
    token, choice = np.nonzero(choices >= 0)
    sizes = np.bincount(batches.batch_of_token[token], minlength=batches.count)
    if not sizes.all():
        got, expected = f"{np.count_nonzero(sizes == 0)} of {batches.count} batches without one", "a choice in each"
        raise Problem("the subset has too few choices", got, expected, "take more --experts, or larger batches")
    alone = choices[token, choice][:, None]
    return Batches(experts, alone, batches.origins[token], np.append(0, np.cumsum(sizes)))


def numbered(batches: Batches, experts: int, choose: str = HOTTEST, seed: int = 0, among: int = 0) -> np.ndarray:
    """The choices of some experts, numbered anew in the order of their ids: int64 [token, choice], -1 for the others.

    choose: the hottest experts, or some that are drawn; among: of the ids below it, 0 for all. Raises Problem for more
    experts than there are.
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
    return number[batches.choices]


def as_one(batches: Batches) -> Batches:
    """All tokens as one batch, so that its loads are those of the sample."""
    return Batches(batches.experts, batches.choices, batches.origins, np.array([0, len(batches.choices)]))
