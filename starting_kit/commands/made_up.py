"""Made-up hotness on which `check` tries a policy, and where its answers differ when it is tried twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from placement.answer import Redeployment
from placement.errors import Problem
from placement.grid import Case
from placement.replay import Rebalance
from placement.trace import Trace

# Standard deviation of the log loads of a layer's experts, near that of the profiles of recorded traces.
SIGMA = 0.6
# An iteration's count lies evenly between half of the expert's mean and one and a half.
LEAST, MOST = 5, 15


@dataclass(frozen=True)
class Answer:
    """What a policy answered at a call's iteration; redeployment: None for keeping the deployment."""

    iteration: int
    redeployment: Redeployment | None


def made_up_trace(case: Case, seed: int = 0) -> Trace:
    """Hotness as skewed as recorded one, just long enough for a second call after all layers were redeployed.

    Popularity is lognormal, drawn for each expert of each layer, and drawn anew after the first call.
    """
    rng = np.random.default_rng(seed)
    iterations = 2 * case.window + case.layers + case.latency + 2
    hotness = rng.integers(LEAST, MOST, (iterations, case.layers, case.experts), np.int32, endpoint=True)
    for part in (hotness[: case.window + 1], hotness[case.window + 1 :]):
        mean = np.rint(MOST * rng.lognormal(0, SIGMA, hotness.shape[1:]))
        part *= np.maximum(mean, 1).astype(np.int32)
    return Trace(hotness)


def answering(rebalance: Rebalance, answers: list[Answer]) -> Rebalance:
    """The same policy, each of whose answers is added to a list."""

    def ask(start: int, stop: int, deployment: np.ndarray, iteration: int) -> Redeployment | None:
        redeployment = rebalance(start, stop, deployment, iteration)
        answers.append(Answer(iteration, redeployment))
        return redeployment

    return ask


def first_difference(one: Sequence[Answer], other: Sequence[Answer]) -> Problem | None:
    """Where two runs of a policy begin to differ, by call and layer; None where they do not.

    The rows of layers that an answer does not list are never looked at, and may differ.
    """
    for number, (first, second) in enumerate(zip(one, other, strict=False), 1):
        if words := _difference(first.redeployment, second.redeployment):
            layer, got = words
            place = f"call {number} (iteration {first.iteration})" + (f", layer {layer}" if layer is not None else "")
            return Problem(
                "the policy answers differently when it is run again",
                got,
                "the same answers in every run",
                "seed its random generators, sort with kind='stable', and let neither clock nor threads decide",
                place,
            )
    return None


def _difference(one: Redeployment | None, other: Redeployment | None) -> tuple[int | None, str] | None:
    """The first layer in which two answers differ, None for the list of layers, and how."""
    if one is None or other is None:
        return None if one is other else (None, "one run redeploys, the other keeps the deployment")
    (layers, table), (other_layers, other_table) = one, other
    if not np.array_equal(layers, other_layers):
        return None, f"layers_priority {_shown(layers)} and {_shown(other_layers)}"
    for layer in layers.tolist():
        if changed := int((table[layer] != other_table[layer]).sum()):
            return layer, f"another expert in {changed} of {table[layer].size} slots"
    return None


def _shown(layers: np.ndarray) -> str:
    return str(layers[:5].tolist())[:-1] + (", ...]" if len(layers) > 5 else "]")
