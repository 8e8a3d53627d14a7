"""Statistics of routing against numbers worked out by hand and against loops over tokens."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from lab.traces.batches import Batches
from lab.traces.generators import Sample, uniform, zipf
from lab.traces.routing_trace import RoutingTrace
from lab.traces.statistics import active_experts, burstiness, coactivation, frequencies, frequency_frame, shares
from lab_cases import random_batches


def _hand() -> Batches:
    """Two batches of two tokens, two of four experts each: 0 1, 0 2 | 0 1, 1 2."""
    choices = np.array([[0, 1], [0, 2], [0, 1], [2, 1]], np.int32)
    return Batches(4, choices, np.zeros(4, np.int32), np.array([0, 2, 4]))


def test_shares_and_active_experts_are_those_worked_out_by_hand() -> None:
    assert shares(_hand()).tolist() == [[0.5, 0.25, 0.25, 0], [0.25, 0.5, 0.25, 0]]
    assert active_experts(_hand()).tolist() == [3, 3]


def test_frequencies_are_those_worked_out_by_hand() -> None:
    columns = frequencies(_hand())
    assert columns["count"].tolist() == [3, 3, 2, 0]
    assert columns["share"].tolist() == [0.375, 0.375, 0.25, 0]
    assert columns["variance"].tolist() == [0.125**2, 0.125**2, 0, 0]
    assert columns["p95"].tolist() == [0.5, 0.5, 0.25, 0]
    assert columns["active"].tolist() == [1, 1, 1, 0]
    # Expert 0: parts 1 and 1/2, variance 1/16, the mean 3/4 draws with 3/4 * 1/4 / 2.
    assert columns["burstiness"] == pytest.approx([(1 / 16) / (3 / 32), (1 / 16) / (3 / 32), 0, 0])


def test_shares_of_a_batch_sum_to_one() -> None:
    batches = random_batches(0, sizes=(40, 33, 1))
    assert shares(batches).sum(axis=1) == pytest.approx(1)
    assert frequencies(batches)["share"].sum() == pytest.approx(1)


def test_p95_is_the_nearest_rank_over_batches() -> None:
    batches = zipf(Sample(40 * 50, 16, 2)).batches(0, 50)
    share = shares(batches)
    assert frequencies(batches)["p95"].tolist() == [sorted(share[:, expert])[37] for expert in range(16)]


def test_steady_experts_have_a_burstiness_about_one_and_a_burst_is_far_above() -> None:
    trace = uniform(Sample(200 * 100, 16, 2))
    steady = burstiness(trace.batches(0, 100))
    assert steady.mean() == pytest.approx(1, abs=0.1)
    # All tokens in the order of their first expert: each is chosen in some batches alone.
    order = np.argsort(trace.choices[0, :, 0], kind="stable")
    sorted_trace = RoutingTrace(16, (0,), trace.choices[:, order], trace.requests)
    assert burstiness(sorted_trace.batches(0, 100)).min() > 20


def test_coactivation_equals_a_loop_over_tokens() -> None:
    batches = random_batches(1)
    expected = np.zeros((12, 12), int)
    for token in batches.choices:
        for first, second in itertools.permutations(token, 2):
            expected[first, second] += 1
    assert (coactivation(batches.choices, 12) == expected).all()


@pytest.mark.parametrize("k", [1, 2, 8])
def test_coactivation_is_symmetric_with_a_zero_diagonal_and_rows_of_k_minus_one_times_the_count(k: int) -> None:
    choices = zipf(Sample(20_000, 64, k)).choices[0]
    matrix = coactivation(choices, 64)
    assert (matrix == matrix.T).all() and not matrix.diagonal().any()
    assert (matrix.sum(axis=1) == (k - 1) * np.bincount(choices.ravel(), minlength=64)).all()


def test_the_table_has_a_row_for_every_layer_and_expert() -> None:
    frame = frequency_frame(zipf(Sample(1000, 32, 4, layers=3)), 100)
    assert frame[["layer", "expert"]].values.tolist() == [[layer, expert] for layer in range(3) for expert in range(32)]
    assert frame.groupby("layer")["share"].sum().tolist() == pytest.approx([1, 1, 1])
    assert (frame.groupby("layer")["count"].sum() == 4000).all()
    assert frequency_frame(zipf(Sample(1000, 32, 4)), 100, seed=1)["count"].tolist() == frame["count"].tolist()[:32]
