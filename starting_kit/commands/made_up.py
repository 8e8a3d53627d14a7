"""Made-up hotness on which `check` tries a policy, and the first difference between two runs of the policy."""

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
    """A policy's answer at a call's iteration; redeployment: None to keep the deployment."""

    iteration: int
    redeployment: Redeployment | None


def made_up_trace(case: Case, seed: int = 0) -> Trace:
    """Hotness as skewed as recorded hotness, just long enough for a second call after all layers were redeployed.

    Popularity is lognormal, drawn for each expert of each layer, and drawn again after the first call.
    """
    rng = np.random.default_rng(seed)
    iterations = 2 * case.window + case.layers + case.latency + 2
    hotness = rng.integers(LEAST, MOST, (iterations, case.layers, case.experts), np.int32, endpoint=True)
    for part in (hotness[: case.window + 1], hotness[case.window + 1 :]):
        mean = np.rint(MOST * rng.lognormal(0, SIGMA, hotness.shape[1:]))
        part *= np.maximum(mean, 1).astype(np.int32)
    return Trace(hotness)


def answering(rebalance: Rebalance, answers: list[Answer]) -> Rebalance:
    """The same policy; each of its answers is also added to a list."""

    def ask(start: int, stop: int, deployment: np.ndarray, iteration: int) -> Redeployment | None:
        redeployment = rebalance(start, stop, deployment, iteration)
        answers.append(Answer(iteration, redeployment))
        return redeployment

    return ask


def first_difference(one: Sequence[Answer], other: Sequence[Answer]) -> Problem | None:
    """The first difference between two runs of a policy, with call and layer; None where the runs are equal.

    Rows of layers that an answer does not list are ignored.
    """
    for number, (first, second) in enumerate(zip(one, other, strict=False), 1):
        if words := _difference(first.redeployment, second.redeployment):
            layer, got = words
            place = f"call {number} (iteration {first.iteration})" + (f", layer {layer}" if layer is not None else "")
            return Problem(
                "the policy gives different answers when it runs again",
                got,
                "the same answers in every run",
                "seed the random generators, sort with kind='stable', and do not use the clock or the order of threads",
                place,
            )
    return None


def _difference(one: Redeployment | None, other: Redeployment | None) -> tuple[int | None, str] | None:
    """The first layer in which two answers differ (None for a difference in the listed layers), and the difference in
    words.
    """
    if one is None or other is None:
        return None if one is other else (None, "one run redeploys, the other run keeps the deployment")
    (layers, table), (other_layers, other_table) = one, other
    if not np.array_equal(layers, other_layers):
        return None, f"layers_priority {_shown(layers)} and {_shown(other_layers)}"
    for layer in layers.tolist():
        if changed := int((table[layer] != other_table[layer]).sum()):
            return layer, f"a different expert in {changed} of {table[layer].size} slots"
    return None


def _shown(layers: np.ndarray) -> str:
    return str(layers[:5].tolist())[:-1] + (", ...]" if len(layers) > 5 else "]")
