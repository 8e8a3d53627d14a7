"""The change that the page names: what each would save, and the sentence that says so."""

from __future__ import annotations

import numpy as np
import pytest

from planning.relabelling import relabel
from scores.excess import Call, Excess, ageing, forgone, late, unpaid
from scores.lever import Bounds, Lever, lever
from scores.moves import Moves, kept, relabelled
from scores.parts import Parts

# 600 iterations of one tenth of a second each, calls at 101, 301 and 501

FLAT = np.concatenate([np.zeros(102), np.full(498, 0.1)])
NO_SHIFTS = {"starts": np.arange(1, 601, 10), "shifts": np.zeros(60)}
DS_EPLB = Parts(9.0, 0.5, 0.9, 3.0, 1.0)


def curves(above: np.ndarray, *calls: Call, baseline: np.ndarray = FLAT, untouched: int = 0) -> Excess:
    sizes = {"fixed": 102, "window": 100, "latency": 0, "layers": 2, "untouched": untouched}
    return Excess(above, baseline, calls=calls, **sizes, **NO_SHIFTS, compute_seconds=60.0, slot_seconds=0.01)


def bounds(**changes: float) -> Bounds:
    return Bounds(70.0, 0.2, 4, -9.0, 9.0, 0.01)._replace(**changes)


STILL = Moves(np.zeros(600), 288.0, 32)
TWO = Call(101, 2, 2, 20), Call(301, 2, 2, 20)


def test_an_order_that_saves_most_comes_before_a_larger_transfer_that_nothing_shows_how_to_lower() -> None:
    said = lever(Parts(9.0, 1.7, 0.1, 3.0, 3.0), DS_EPLB, bounds(), STILL, curves(FLAT * 0, *TWO))
    assert said == Lever(
        "roll-out",
        1.5,
        "order by gain",
        "Largest saving: order by gain, about 1.50 s (roll-out is 1.70 s). One layer is applied per "
        "iteration. List the layers that gain most first.",
    )


def test_slots_that_a_relabelled_plan_would_keep_are_what_renaming_saves() -> None:
    # Two layers at each of two calls: 280 of 288 slots; relabelled, 9 slots on each of 32 devices keep 1.7.
    moves = Moves(np.repeat([280.0, 0.0], [4, 596]), 288.0, 32)
    assert kept(288.0, 32) == pytest.approx(1.74, abs=0.01)
    assert relabelled(moves).tolist() == pytest.approx([288 - 32 * kept(288.0, 32)] * 4 + [0] * 596)
    said = lever(Parts(9.0, 0.2, 0.1, 3.0, 11.2), DS_EPLB, bounds(), moves, curves(FLAT * 0, *TWO))
    assert (said.part, said.seconds) == ("transfer", pytest.approx(0.01 * 4 * (32 * kept(288.0, 32) - 8)))
    assert said.advice == (
        "Largest saving: rename devices, about 1.92 s (transfer is 11.20 s). A redeployed layer changes 280 "
        "of about 288 slots. Rename the devices of each plan and align its slots (planning.relabelling): about 232 "
        "slots change then, at the same PAR."
    )


def test_a_device_keeps_no_more_slots_than_it_has_and_about_one_where_experts_are_many() -> None:
    assert kept(4.0, 2) <= 2
    # Of two slots on each of 256 devices, two plans share one where a device meets 2 of the 256 others.
    assert kept(512.0, 256) == pytest.approx(1 - np.exp(-2), abs=0.02)


@pytest.mark.parametrize(("devices", "experts", "redundant"), [(32, 256, 32), (16, 32, 16), (32, 64, 32)])
def test_what_a_relabelled_plan_keeps_is_near_what_relabelling_keeps(
    devices: int, experts: int, redundant: int
) -> None:
    rng = np.random.default_rng(devices)
    every = np.concatenate([np.arange(experts), np.arange(redundant)])
    one, other = (np.array([rng.permutation(every).reshape(devices, -1) for _ in range(20)]) for _ in range(2))
    same = (relabel(one, other, experts) == other).sum() / (20 * devices)
    assert kept(float(len(every)), devices) == pytest.approx(same, rel=0.15)


def test_a_whole_redeployment_that_gains_less_than_its_slots_cost_is_named() -> None:
    # PAR stays where it was: 40 slots for nothing, once.
    moves = Moves(np.zeros(600), 288.0, 32)
    moves.changed[[101, 102, 301, 302]] = 20
    excess = curves(FLAT, *TWO)
    assert unpaid(excess, moves.changed) == ([301], pytest.approx(0.4))
    said = lever(Parts(9.0, 0.2, 0.1, 3.0, 0.8), DS_EPLB, bounds(), moves, excess._replace(above=FLAT / 1000))
    assert (said.part, said.short) == ("transfer", "fewer moves")
    assert said.advice.endswith(
        "The redeployments at iterations 301 cost more than they gained. Redeploy only layers that gain more than "
        "their changed "
        "slots cost (planning.gate). Settled rises then, but by less."
    )
    # Without the call PAR would go on to rise from 0.2 by 0.001 in an iteration, and more.
    rising = np.concatenate([np.zeros(103), np.linspace(0, 0.2, 198), np.zeros(299)])
    assert unpaid(curves(rising, *TWO), moves.changed) == ([], 0.0)
    # Some layers only: they were chosen.
    assert unpaid(curves(FLAT, TWO[0], Call(301, 1, 1, 20)), moves.changed) == ([], 0.0)


def test_a_policy_that_redeploys_every_layer_at_every_call_never_reads_to_redeploy_again() -> None:
    rising = np.concatenate([np.zeros(103), np.tile(np.linspace(-0.1, 0.3, 200), 3)[:497]])
    excess = curves(rising, *TWO, Call(501, 2, 2, 20), baseline=np.full(600, 0.5))
    assert forgone(excess) == ([], 0.0)
    said = lever(Parts(9.0, 0.2, 8.0, 3.0, 0.2), DS_EPLB._replace(settled=8.0), bounds(), STILL, excess)
    assert said.short == "longer memory" and said.advice.endswith(
        "and 0.235 above in the last eighth: the plans fit only the window that they are made from. Plan from all "
        "windows since the "
        "last switch of "
        "the loads (planning.memory)."
    )


def test_layers_that_were_left_out_count_where_ds_eplb_is_faster_by_more_than_their_slots_cost() -> None:
    aged = np.concatenate([np.zeros(303), np.full(297, 0.5)])
    once, declined = Call(101, 2, 2, 20), Call(301, 0, 0, 0)
    # From 304 to 403 PAR is 0.5 higher, one tenth of a second each; two layers cost 20 slots.
    assert forgone(curves(aged, once, declined, baseline=aged * 0)) == ([301], pytest.approx(100 * 0.05 - 0.2))
    # A gate that was right, and a rise that redeploying all does not spare DS-EPLB either.
    slight = aged / 300
    assert forgone(curves(slight, once, declined, baseline=aged * 0)) == ([], 0.0)
    assert forgone(curves(aged, once, declined, baseline=aged)) == ([], 0.0)


def test_what_is_lost_before_a_late_first_redeployment_is_what_an_earlier_one_saves() -> None:
    above = np.concatenate([np.zeros(102), np.ones(201), np.zeros(297)])
    declined = Call(101, 0, 0, 0), Call(201, 0, 0, 0), Call(301, 2, 2, 20)
    assert late(curves(above, *declined)) == (2, pytest.approx(199 * 0.1))


def test_loads_that_drift_are_told_from_plans_that_are_off_from_the_start() -> None:
    # Right after a redeployment 0.2, and 0.001 more in each iteration.
    drift = np.concatenate([np.zeros(103), 0.2 + 0.001 * np.tile(np.arange(200), 3)[:497]])
    three = *TWO, Call(501, 2, 2, 20)
    first, last, rise = ageing(curves(drift, *three))
    assert (first, rise) == (pytest.approx(0.2 + 0.012, abs=0.01), pytest.approx(0.001, rel=0.3)) and last > 0.35
    settled = Parts(9.0, 0.2, 14.0, 3.0, 0.2)
    same = DS_EPLB._replace(settled=14.0)
    # Half a window of age is 0.05, and DS-EPLB's plans lose so much more than these: no age is left in them.
    said = lever(settled, same, bounds(), STILL, curves(drift, *three, baseline=np.full(600, 0.26)))
    assert said.short == "longer memory"
    steep = np.concatenate([np.zeros(103), 0.2 + 0.004 * np.tile(np.arange(200), 3)[:497]])
    said = lever(settled, same, bounds(), STILL, curves(steep, *three, baseline=np.full(600, 0.25)))
    assert said.short == "newer loads" and "the loads drift. Plan from the newest iterations" in said.advice


def test_hidden_curves_leave_both_causes_of_a_settled_part_open() -> None:
    moves = Moves(np.full(4, 250.0), 255.0, 32)
    either = lever(Parts(9.0, 0.2, 1.0, 3.0, 0.3), DS_EPLB, bounds(), moves._replace(changed=np.zeros(4)), None)
    assert (either.part, either.seconds, either.short) == ("settled", 0.5, "longer memory, or react to switches")
    renamed = lever(Parts(9.0, 0.2, 1.0, 3.0, 10.0), DS_EPLB, bounds(), moves, None)
    assert renamed.short == "rename devices"


def test_where_no_change_saves_a_share_of_the_seconds_nothing_stands_out() -> None:
    small = Parts(9.0, 0.33, -1.0, 3.0, 0.04)
    said = lever(small, DS_EPLB, bounds(), STILL, None)
    assert said == Lever(
        "",
        pytest.approx(0.13),
        "-",
        "No change stands out: by these numbers none would save 0.2% of the case's modeled seconds (largest: "
        "order by gain, 0.13 s). The other seconds are fixed or clairvoyant DS-EPLB's own. Only plans whose devices "
        "stay even in "
        "single iterations lower clairvoyant's own (planning.risk, planning.exchange).",
    )
    assert lever(small, DS_EPLB, bounds(modeled=60.0), STILL, None).short == "order by gain"


def test_moves_that_cost_more_than_all_that_they_gain_are_named_also_on_hidden_traces() -> None:
    said = lever(Parts(9.0, 0.2, 0.1, 3.0, 5.0), DS_EPLB, bounds(above_static=3.0), STILL, None)
    assert (said.part, said.seconds, said.short) == ("transfer", 3.0, "fewer moves")
    assert "without moves the case would be faster" in said.advice


def test_one_redeployment_saw_one_window_so_that_a_longer_memory_would_have_held_no_more() -> None:
    settled = Parts(9.0, 0.2, 1.0, 3.0, 0.2)
    assert lever(settled, settled, bounds(), STILL, curves(FLAT, TWO[0])).short == "plan for the scatter"
    assert lever(settled, settled, bounds(), STILL, curves(FLAT, *TWO)).short == "longer memory"


def test_worse_plans_that_save_more_moves_than_they_cost_are_no_reason_to_plan_as_ds_eplb_does() -> None:
    baseline, excess = Parts(9.0, 0.2, 0.6, 3.0, 3.0), curves(FLAT / 5, *TWO, baseline=FLAT)
    assert lever(Parts(9.0, 0.2, 1.0, 3.0, 0.5), baseline, bounds(), STILL, excess).short == "longer memory"
    assert lever(Parts(9.0, 0.2, 6.0, 3.0, 0.5), baseline, bounds(), STILL, excess).short == "better plans"


def test_a_trace_that_ends_with_its_first_applied_layer_shows_nothing_to_change() -> None:
    end = curves(np.zeros(102), Call(101, 2, 1, 9), baseline=np.zeros(102))
    assert lever(Parts(9.0, 0.0, 0.0, 0.0, 0.09), DS_EPLB, bounds(least_roll_out=0.0), STILL, end).short == "-"


def test_layers_that_a_small_redeployment_left_out_do_not_count_as_young() -> None:
    above = np.concatenate([np.zeros(103), np.full(198, 0.1), np.full(299, 0.4)])
    assert ageing(curves(above, TWO[0], Call(301, 1, 1, 10)))[:2] == pytest.approx((0.1, 0.1))
    assert ageing(curves(above, *TWO))[0] > 0.25


def test_what_is_worse_than_ds_eplbs_plans_is_no_matter_of_memory() -> None:
    # 497 iterations of one tenth of a second each, half of what DS-EPLB loses: 0.02.
    settled = Parts(9.0, 0.2, 5.0, 3.0, 0.2)
    said = lever(settled, settled, bounds(), STILL, curves(FLAT, *TWO, baseline=FLAT / 5))
    assert (said.short, said.seconds) == ("longer memory", pytest.approx(497 * 0.1 * 0.01))
    assert lever(settled, settled, bounds(), STILL, curves(FLAT, *TWO, baseline=-FLAT)).short == "-"


def test_a_late_reaction_to_a_switch_costs_the_rise_until_the_next_redeployment() -> None:
    shifts = np.zeros(60)
    shifts[20] = 0.5
    # The loads switch at 201; the call at 301 redeploys nothing, that at 501 does.
    above = np.concatenate([np.zeros(200), np.full(303, 0.5), np.zeros(97)])
    excess = curves(above, TWO[0], Call(301, 0, 0, 0), Call(501, 2, 2, 20), baseline=above)
    settled = Parts(9.0, 0.2, 16.0, 3.0, 0.2)
    said = lever(settled, settled, bounds(), STILL, excess._replace(shifts=shifts))
    # From 301 on 202 iterations; those before are nobody's to save.
    assert (said.part, said.seconds) == ("settled", pytest.approx(202 * 0.05, abs=0.1))
    assert said.advice.startswith(
        "Largest saving: react to the switch at 206, about 10.10 s (settled is 16.00 s, 4.75 s of it between "
        "a switch and the first call that could see it). The loads switch at about iteration 206, but later "
        "plans still fit"
    )
