"""The lab's cost model against its published figures and against a loop over tokens."""

from __future__ import annotations

import numpy as np
import pytest

from lab.serving import cost
from lab.serving.measures import measures
from lab.serving.replicas import replicas_of
from lab.serving.routing import round_robin
from lab.serving.torus import Torus
from lab.traces.batches import Batches
from lab.traces.statistics import nearest_rank
from lab_cases import random_batches, random_table


def test_a_token_with_two_experts_in_one_column_takes_the_time_worked_out_by_hand() -> None:
    table = np.full((128, 1), -1)
    table[0], table[8] = 0, 1
    batches = Batches(2, np.array([[0, 1]], np.int32), np.zeros(1, np.int32), np.array([0, 1]))
    replicas = replicas_of(table, 2)
    timed = cost.latency(batches, replicas, round_robin(batches, replicas), Torus(16, 8))
    assert timed.total[0] == pytest.approx(189.549932, abs=1e-5)
    assert (timed.compute[0], timed.dispatch[0]) == (118, pytest.approx(35.774966, abs=1e-5))


@pytest.mark.parametrize(
    ("times", "rows", "expected"),
    [
        (cost.PUBLISHED_TIMES, 16, (17.557700, 6.175222, 3.911214)),
        (cost.PUBLISHED_TIMES, 8, (17.262251, 6.175222, 8.142266)),
        (cost.PUBLISHED_TIMES, 4, (17.613659, 6.175222, 17.297111)),
        (cost.CORRECTED_TIMES, 16, (3.379309, 7.489627, 4.443794)),
    ],
)
def test_the_planes_coefficients_are_the_published_ones(times: np.ndarray, rows: int, expected: tuple) -> None:
    fitted = cost.plane(times, rows)
    # The corrected ones were published from a cell rounded otherwise.
    np.testing.assert_allclose(fitted[:3], expected, atol=3e-4 if times is cost.CORRECTED_TIMES else 1e-6)
    assert fitted[3] == pytest.approx(fitted[2])


@pytest.mark.parametrize(("pair", "us"), [((17, 17), 235), ((17, 38), 365), ((38, 38), 495), ((38, 70), 625)])
def test_measured_blocks_give_the_published_measurements(pair: tuple[int, int], us: float) -> None:
    assert cost.measured_blocks(np.array(pair)).sum() == us


def test_an_idle_replica_costs_nothing_and_a_33rd_token_a_block() -> None:
    assert cost.flat_blocks(np.array([0, 1, 32, 33])).tolist() == [0, 118, 118, 236]
    assert cost.measured_blocks(np.array([0, 1, 33])).tolist() == [0, 117.5, 247.5]


@pytest.mark.parametrize("preset", cost.PRESETS.values(), ids=cost.PRESETS)
@pytest.mark.parametrize("shape", [(4, 2), (2, 4), (8, 1)])
def test_latency_is_that_of_a_loop_over_tokens(preset: cost.Preset, shape: tuple[int, int]) -> None:
    torus, batches, replicas = Torus(*shape), random_batches(1, rows=shape[0]), replicas_of(random_table(1), 12)
    routed = round_robin(batches, replicas)
    timed = cost.latency(batches, replicas, routed, torus, preset)
    for batch in range(batches.count):
        dispatch, combine, tokens = [], [], np.zeros(len(replicas.slot), int)
        for token in range(batches.starts[batch], batches.starts[batch + 1]):
            devices = replicas.device[routed[token]]
            tokens[routed[token]] += 1
            apart = [abs(d // torus.cols - batches.origins[token]) for d in devices]
            hops = [min(a, torus.rows - a) for a in apart]
            columns = [d % torus.cols for d in devices]
            for result, number in (
                (dispatch, max(columns.count(c) for c in columns)),
                (combine, len(set(devices.tolist()))),
            ):
                values = (np.array([number]), np.array([sum(hops) / len(hops)]), np.array([max(hops)]))
                result.append(preset.transfer(*values, torus)[0])
        compute = np.zeros(torus.devices)
        for replica, device in enumerate(replicas.device):
            served = tokens[replicas.device == device].sum() if preset.dense else tokens[replica]
            compute[device] += preset.compute(np.array([served]))[0]
        got = (timed.dispatch[batch], timed.compute[batch], timed.combine[batch])
        assert got == pytest.approx((max(dispatch), compute.max(), max(combine)))


def test_the_look_up_meets_the_corrected_table_at_its_hops() -> None:
    for row, hop in enumerate((0, 4, 8)):
        numbers = np.arange(1, 9)
        got = cost.MEASURED.transfer(numbers, np.full(8, float(hop)), np.full(8, hop), Torus(16, 8))
        np.testing.assert_allclose(got, cost.CORRECTED_TIMES[row])


def test_percentiles_are_taken_at_the_published_place() -> None:
    values = np.arange(50, 0, -1.0)
    assert [nearest_rank(values, share) for share in (0.5, 0.95, 0.99, 1.0)] == [25, 48, 50, 50]


def test_measures_of_a_token_are_those_counted_by_hand() -> None:
    # Token 0 comes from row 0; experts 0, 1, 2 lie on devices 0, 1 (row 0) and 2 (row 1).
    batches = Batches(3, np.array([[0, 1, 2]], np.int32), np.zeros(1, np.int32), np.array([0, 1]))
    replicas = replicas_of(np.array([[0], [1], [2], [-1]]), 3)
    routed = round_robin(batches, replicas)
    measured = measures(batches, replicas, routed, Torus(2, 2))
    names = ("rows_per_token", "devices_per_token", "cross_row_share", "cross_node_share", "mean_hop", "par")
    assert [measured[name] for name in names] == pytest.approx([2, 3, 1 / 3, 0, 1 / 3, 4 / 3])
    assert measured["row_imbalance"] == pytest.approx(2 / 1.5)
