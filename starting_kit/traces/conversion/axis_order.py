"""Whether an array's axes can be in the order that was stated: what its sizes and its counts prove."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import NamedTuple

import numpy as np

from placement.errors import OrganizerError

from .counts import AXES
from .recording import counted

ITERATION, LAYER, EXPERT = range(3)
STATED = (ITERATION, LAYER, EXPERT)
EXCHANGED = (LAYER, ITERATION, EXPERT)


class Size(NamedTuple):
    """What a grid says of a model."""

    model: str
    layers: int
    experts: int


def sizes_in_words(shape: Sequence[int]) -> str:
    """The shape [iteration, layer, expert] of a trace, in words."""
    sizes = ((shape[LAYER], "layer"), (shape[EXPERT], "expert"), (shape[ITERATION], "iteration"))
    return ", ".join(counted(int(size), noun) for size, noun in sizes)


def check_order(hotness: np.ndarray, axes: Sequence[str], size: Size | None, where: str) -> list[str]:
    """Notes on the order of the axes. Raises OrganizerError where another order than the stated one is proven.

    hotness: [iteration, layer, expert] as stated; axes: the file's; size: of the model, where it is known. Proof is a
    model's size, or that a token chooses as many experts in every layer: the counts of an iteration add up to the same
    in all layers.
    """
    notes = []
    if size:
        fitting = [order for order in permutations(STATED) if _sizes(hotness, order)[1:] == (size.layers, size.experts)]
        has = f"{size.layers} layers, {size.experts} experts"
        if STATED in fitting:
            return []
        if fitting:
            raise _wrong(hotness, axes, fitting, f"{has}, as {size.model} has in the official grid", where)
        notes.append(f"{size.model} has {has} in the official grid")
    routed = [order for order in permutations(STATED) if _routed(hotness, order)]
    iterations, layers, experts = hotness.shape
    # As many tokens in every iteration, too, prove nothing of which is which.
    exchanged = layers > iterations and {STATED, EXCHANGED} <= set(routed)
    if STATED in routed and not exchanged:
        return notes
    if routed and not exchanged:
        raise _wrong(hotness, axes, routed, "the same number of tokens in all layers of an iteration", where)
    if exchanged or layers > experts or experts > iterations:
        sizes = sizes_in_words(hotness.shape)
        notes.append(f"{sizes} are unusual; if that is another order of the axes, give --axes, and --replace")
    return notes


def _sizes(hotness: np.ndarray, order: Sequence[int]) -> tuple[int, ...]:
    return tuple(hotness.shape[axis] for axis in order)


def _routed(hotness: np.ndarray, order: Sequence[int]) -> bool:
    """Whether all layers have as many tokens in each iteration, were the axes in this order."""
    iteration, layer, expert = order
    tokens = hotness.sum(axis=expert, dtype=np.int64)
    if layer < iteration:
        tokens = tokens.T
    # Dense layers have none.
    tokens = tokens[:, tokens.any(axis=0)]
    if tokens.shape[1] < 2 or (tokens != tokens[:, :1]).any():
        return False
    # What never changes along an axis adds up to the same along it, too: of another order that proves nothing.
    return tuple(order) == STATED or bool((hotness != hotness.take([0], axis=layer)).any())


def _wrong(
    hotness: np.ndarray, axes: Sequence[str], orders: Sequence[Sequence[int]], expected: str, where: str
) -> OrganizerError:
    """The error, whose next step names each order of the file's axes that is possible."""
    names = [{AXES[axis]: AXES[place] for place, axis in enumerate(order)} for order in orders]
    options = " or ".join("--axes " + ",".join(renamed[axis] for axis in axes) for renamed in names)
    got = f"{','.join(axes)}: {sizes_in_words(hotness.shape)}"
    return OrganizerError("the axes are in another order", got, expected, f"give {options}", where)
