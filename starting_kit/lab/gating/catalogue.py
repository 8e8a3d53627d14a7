"""The gates by name: what each needs, and when it may run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from .assignment import base, expert_choice
from .bias import STEP, biased, moved
from .capacity import capacity, dropped, rerouted
from .selection import limited, top_k

# Seconds: of a batch for what runs online, of a layer for what runs between batches.
ONLINE, NEARLINE = 0.010, 2.0
CAPACITIES = (1.0, 1.25, 1.5, 2.0, float("inf"))
KINDS = ("top-k", "bias", "limited", "drop", "reroute", "base", "expert-choice")
# (scores [token, expert] or None, the recorded choices [token, k]) -> choices [token, any number], -1 for none
Gate = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Method:
    """A gate in the table.

    kind: of KINDS; run: online or offline, what it is meant for; start: gives a gate for batches that follow one
    another; causal: False where all tokens of a batch are compared; scores: whether it needs those of all experts;
    factor: of its capacity.
    """

    kind: str
    name: str
    run: str
    start: Callable[[], Gate]
    causal: bool = True
    scores: bool = True
    factor: float | None = None


def methods(
    experts: int,
    kinds: Sequence[str] = KINDS,
    capacities: Sequence[float] = CAPACITIES,
    groups: int = 8,
    kept: Sequence[int] = (4, 2),
    best: int = 2,
    step: float = STEP,
) -> list[Method]:
    """The gates of these kinds. groups, kept, best: of limited routing; step: of the bias."""
    found = [
        Method("top-k", "top-k, dropless", "online", lambda: plain, scores=False),
        Method("bias", f"bias, step {step:g}", "online", partial(_moving, step)),
    ]
    for number in kept:
        start = partial(_limiting, groups, number, best)
        found.append(Method("limited", f"limited, {number} of {groups} groups", "online", start))
    for factor in capacities:
        start = partial(_dropping, factor, experts)
        found.append(Method("drop", f"drop, capacity {factor:g}", "online", start, scores=False, factor=factor))
    for factor in capacities:
        start = partial(_rerouting, factor, experts)
        found.append(Method("reroute", f"reroute, capacity {factor:g}", "online", start, factor=factor))
    found.append(Method("base", "BASE", "offline", partial(_of_scores, base), causal=False))
    found.append(Method("expert-choice", "expert choice", "online", partial(_of_scores, expert_choice), causal=False))
    return [method for method in found if method.kind in kinds]


def plain(scores: np.ndarray | None, seen: np.ndarray) -> np.ndarray:
    """The k best experts, or those that were recorded where no scores are known."""
    return seen.astype(np.int64) if scores is None else top_k(scores, seen.shape[1])


def meets(seconds: np.ndarray) -> str:
    """The class that the seconds of a layer's batches are in: online, nearline or offline."""
    if seconds.mean() < ONLINE:
        return "online"
    return "nearline" if seconds.sum() < NEARLINE else "offline"


def _moving(step: float) -> Gate:
    """Remembers its bias from batch to batch."""
    bias = np.zeros(1)

    def gate(scores: np.ndarray, seen: np.ndarray) -> np.ndarray:
        nonlocal bias
        choices = biased(scores, seen.shape[1], bias)
        bias = moved(bias, np.bincount(choices.ravel(), minlength=scores.shape[1]), step)
        return choices

    return gate


def _limiting(groups: int, kept: int, best: int) -> Gate:
    return lambda scores, seen: limited(scores, seen.shape[1], groups, kept, best)


def _dropping(factor: float, experts: int) -> Gate:
    return lambda scores, seen: dropped(plain(scores, seen), capacity(factor, *seen.shape, experts))


def _rerouting(factor: float, experts: int) -> Gate:
    return lambda scores, seen: rerouted(scores, seen.shape[1], capacity(factor, *seen.shape, experts))


def _of_scores(choose: Callable[[np.ndarray, int], np.ndarray]) -> Gate:
    return lambda scores, seen: choose(scores, seen.shape[1])
