"""PAR figures of a trace: against values by hand and against the replay."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cases import Answers, B, C, P, make_case, make_trace, redeploy, steady_trace
from placement.replay import replay
from traces.statistics.balance_summary import ep_balance, noise_floor_par, packed_par, par_after_first


def varied_trace(iterations: int = 60, layers: int = 2, experts: int = 16) -> np.ndarray:
    rng = np.random.default_rng(8)
    return rng.multinomial(400, rng.dirichlet(np.full(experts, 3)), (iterations, layers)).astype(np.int32)


def test_par_after_the_first_redeployment_of_the_worked_example() -> None:
    answers = Answers(redeploy([1, 0], [B, P]), redeploy([0], [C, C]))
    planned = replay(steady_trace(), make_case(), answers)
    # Layer 1 from iteration 6 on: seven times 1.5; layer 0 from 7 on: five times 1 and then 1.25.
    assert par_after_first(planned) == pytest.approx((7 * 1.5 + 5 * 1 + 1.25) / 13)


def test_there_may_be_nothing_after_the_first_redeployment() -> None:
    assert math.isnan(par_after_first(replay(steady_trace(), make_case(), Answers(None, None, None))))


def test_both_floors_of_steady_hotness_are_the_planners() -> None:
    # 4, 2, 1, 1: the first expert gets three replicas of 4/3, and the devices 2 + 4/3 + 1 and 4/3 + 4/3 + 1.
    trace = steady_trace()
    assert noise_floor_par(trace, 2, 2) == pytest.approx(13 / 12) and packed_par(trace, 2, 2) == pytest.approx(13 / 12)


def test_what_slots_cannot_share_stays_in_the_floor() -> None:
    # 10 is cut into five at most, two of them on one device.
    trace = make_trace([[[10, 1, 1, 1]]] * 3)
    assert noise_floor_par(trace, 4, 4) == pytest.approx(packed_par(trace, 4, 4))
    assert packed_par(trace, 4, 4) == pytest.approx(4 / (13 / 4))


def test_the_noise_floor_of_blocks_of_one_is_the_packed_one() -> None:
    trace = make_trace(varied_trace())
    assert noise_floor_par(trace, 4, 4, span=1) == pytest.approx(packed_par(trace, 4, 4))
    assert (
        packed_par(trace, 4, 4) < noise_floor_par(trace, 4, 4, span=30) < noise_floor_par(trace, 4, 4, span=60) + 0.01
    )


def test_a_last_block_may_be_shorter() -> None:
    values = varied_trace(50)
    parts = [noise_floor_par(make_trace(part), 4, 4) for part in (values[:30], values[30:])]
    assert noise_floor_par(make_trace(values), 4, 4, span=30) == pytest.approx((30 * parts[0] + 20 * parts[1]) / 50)


def test_the_figures_of_an_ep_fit_together() -> None:
    found = ep_balance(make_trace(varied_trace()), make_case(devices=4, experts=16, window=16))
    assert (found.ep, found.redundant_experts, found.calls) == (4, 4, 3)
    assert found.packed < min(found.noise_floor, found.after_first) and found.noise_floor < found.static
    assert 0 < found.transmit_amount <= 3 * 2 * 4 * 5
    for curve in (found.static_layers, found.static_curve):
        assert curve.mean() == pytest.approx(found.static)
    for curve in (found.ds_eplb_layers, found.ds_eplb_curve):
        assert curve.mean() == pytest.approx(found.ds_eplb)
    # Nothing differs until the first redeployment counts, from iteration 19 on.
    assert np.array_equal(found.static_curve[:18], found.ds_eplb_curve[:18])
    assert found.static_curve[18] != found.ds_eplb_curve[18]
