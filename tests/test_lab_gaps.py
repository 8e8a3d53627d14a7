"""Tokens with fewer experts than others: what has no expert is neither routed nor paid for."""

from __future__ import annotations

import numpy as np
import pytest

from lab.serving import cost
from lab.serving.gaps import routed_with_gaps
from lab.serving.measures import measures
from lab.serving.replicas import replicas_of
from lab.serving.routers import routers
from lab.serving.routing import round_robin
from lab.serving.torus import Torus
from lab.traces.batches import Batches
from lab_cases import random_batches, random_table

TORUS = Torus(4, 2)


def setting(seed: int) -> tuple:
    """Batches, choices of which a third are gaps, token 3 has none, and replicas."""
    batches, replicas = random_batches(seed), replicas_of(random_table(seed), 12)
    choices = np.where(np.random.default_rng(seed).random(batches.choices.shape) < 0.3, -1, batches.choices)
    choices[3] = -1
    return batches, choices, replicas


def test_gaps_stay_gaps_and_the_first_three_choices_of_an_expert_go_in_turn() -> None:
    # Tokens of a batch chose expert 0 (replicas 0, 1), of which the second has a gap.
    batches = Batches(2, np.array([[0, 1]] * 4), np.zeros(4, np.int32), np.array([0, 4]))
    replicas = replicas_of(np.array([[0, 1], [0, -1]]), 2)
    choices = np.array([[0, 1], [-1, 1], [0, -1], [1, 0]])
    assert routed_with_gaps(round_robin, batches, choices, replicas).tolist() == [[0, 2], [-1, 2], [1, -1], [2, 0]]


@pytest.mark.parametrize("name", routers(TORUS))
def test_every_choice_but_gaps_lands_on_a_replica_of_its_expert(name: str) -> None:
    router = routers(TORUS)[name]
    batches, choices, replicas = setting(1)
    routed = routed_with_gaps(router, batches, choices, replicas)
    assert ((routed < 0) == (choices < 0)).all()
    assert (replicas.expert[routed] == choices)[choices >= 0].all()
    # A column of gaps changes nothing, so the way without gaps and the other one agree.
    wider = np.hstack([batches.choices, np.full((len(choices), 1), -1)])
    routed = routed_with_gaps(router, batches, wider, replicas)
    assert (routed[:, :-1] == router(batches, replicas)).all() and (routed[:, -1] == -1).all()


@pytest.mark.parametrize("preset", cost.PRESETS.values(), ids=cost.PRESETS)
def test_times_and_measures_are_those_of_a_loop_over_the_experts_that_a_token_has(preset: cost.Preset) -> None:
    batches, choices, replicas = setting(2)
    routed = routed_with_gaps(round_robin, batches, choices, replicas)
    timed, found = cost.latency(batches, replicas, routed, TORUS, preset), measures(batches, replicas, routed, TORUS)
    rows_per_token, hops = [], []
    for batch in range(batches.count):
        dispatch, combine, tokens = [0.0], [0.0], np.zeros(len(replicas.slot), int)
        for token in range(batches.starts[batch], batches.starts[batch + 1]):
            serving = [int(replica) for replica in routed[token] if replica >= 0]
            devices = [int(replicas.device[replica]) for replica in serving]
            rows_per_token.append(len({device // 2 for device in devices}))
            if serving:
                here = [int(TORUS.hops[batches.origins[token], device // 2]) for device in devices]
                hops += here
                column = max(sum(device % 2 == col for device in devices) for col in range(2))
                for times, number in ((dispatch, column), (combine, len(set(devices)))):
                    arguments = (np.array([value]) for value in (number, sum(here) / len(here), max(here)))
                    times.append(preset.transfer(*arguments, TORUS)[0])
            np.add.at(tokens, serving, 1)
        if preset.dense:
            tokens = np.array([tokens[replicas.device == device].sum() for device in replicas.device])
        compute = max(preset.compute(tokens[replicas.device == device]).sum() for device in range(8))
        expected = max(dispatch), compute, max(combine)
        got = timed.dispatch[batch], timed.compute[batch], timed.combine[batch]
        assert got == pytest.approx(expected)
    assert found["rows_per_token"] == pytest.approx(np.mean(rows_per_token))
    assert found["mean_hop"] == pytest.approx(np.mean(hops))


def test_a_batch_without_any_choice_is_refused() -> None:
    batches, choices, replicas = setting(3)
    choices[batches.starts[1] :] = -1
    with pytest.raises(ValueError, match="no batch be empty"):
        routed_with_gaps(round_robin, batches, choices, replicas)
