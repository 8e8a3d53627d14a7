"""The design's worked example: T=12, window=3, L=2, D=2, E=4, to the last digit."""

import numpy as np
import pytest

from cases import A0, NONSENSE, Answers, B, C, P, make_case, redeploy, steady_trace
from placement.replay import replay
from placement.results import mean_par

FIRST = redeploy([1, 0], [B, P])
SECOND = redeploy([0], [C, NONSENSE])


def run(*answers, latency=0):
    policy = Answers(*answers)
    return replay(steady_trace(), make_case(latency=latency), policy), policy


def test_every_iteration_is_measured_as_the_table_says():
    result, _ = run(FIRST, SECOND)
    assert result.par.tolist() == [[1.5, 1.5]] * 6 + [[1.0, 1.5]] * 5 + [[1.25, 1.5]]
    assert result.par.sum() == 33.25
    assert mean_par(result.par) == 1.385416666667


def test_changed_slots_are_charged_in_the_iteration_that_applies_them():
    result, _ = run(FIRST, SECOND)
    assert result.transmit().tolist() == [0, 0, 0, 0, 2, 3, 0, 0, 0, 0, 1, 0]
    assert np.cumsum(result.transmit()).tolist() == [0, 0, 0, 0, 2, 5, 5, 5, 5, 5, 6, 6]
    assert result.transmit_amount == 6


def test_calls_see_the_three_iterations_up_to_their_own_and_the_live_table():
    result, policy = run(FIRST, SECOND)
    assert result.calls == [4, 10]
    assert policy.seen == [(2, 4), (8, 10)]
    assert policy.deployments == [[A0, A0], [B, P]]


def test_layers_are_applied_one_per_iteration_in_the_policys_order():
    result, _ = run(FIRST, SECOND)
    applied = [(part.call, part.iteration, part.layer, part.changed) for part in result.applications]
    assert applied == [(1, 5, 1, 2), (1, 6, 0, 3), (2, 11, 0, 1)]


@pytest.mark.parametrize(
    ("layer", "iteration", "rows"),
    [(0, 1, A0), (0, 6, A0), (0, 7, B), (0, 11, B), (0, 12, C), (1, 5, A0), (1, 6, P), (1, 12, P)],
)
def test_rows_at_an_iteration_are_those_it_was_measured_with(layer, iteration, rows):
    result, _ = run(FIRST, SECOND)
    assert result.rows_at(layer, iteration).tolist() == rows


def test_declining_the_first_call_moves_everything_by_one_window_and_an_iteration():
    result, policy = run(None, FIRST)
    assert result.calls == [4, 8]
    assert policy.seen == [(2, 4), (6, 8)]
    assert [(part.iteration, part.layer) for part in result.applications] == [(9, 1), (10, 0)]
    assert result.par.tolist() == [[1.5, 1.5]] * 10 + [[1.0, 1.5]] * 2
    assert mean_par(result.par) == 1.458333333333
    assert result.transmit_amount == 5


def test_latency_of_two_moves_the_layers_and_leaves_the_second_answer_unapplied():
    result, policy = run(FIRST, SECOND, latency=2)
    assert result.calls == [4, 12]
    assert policy.seen == [(2, 4), (10, 12)]
    assert [(part.iteration, part.layer) for part in result.applications] == [(7, 1), (8, 0)]
    assert result.par.tolist() == [[1.5, 1.5]] * 8 + [[1.0, 1.5]] * 4
    assert mean_par(result.par) == 1.416666666667
    assert result.transmit_amount == 5
