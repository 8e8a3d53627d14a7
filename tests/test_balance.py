"""Device loads and PAR of one layer: what holds for any hotness and rows."""

import numpy as np
import pytest

from benchmarking.plain_replay import initial_deployment as plain_initial_deployment
from benchmarking.plain_replay import plain_par
from cases import random_rows, random_sizes
from placement.balance import BLOCK, Work, device_loads, par, pars
from placement.deployment import changed_slots, initial_deployment, replica_counts


def random_layer(seed, experts=12, devices=4, iterations=1100):
    """hotness [expert, iteration] longer than one block of the kernel, totals, rows [device, slot]."""
    rng = np.random.default_rng(seed)
    hotness = rng.integers(1, 2**31, (experts, iterations)).astype(np.int32)
    return hotness, hotness.sum(axis=0, dtype=np.int64), random_rows(rng, experts, devices)


@pytest.mark.parametrize("seed", range(10))
def test_device_loads_add_up_to_the_hotness(seed):
    hotness, totals, rows = random_layer(seed)
    np.testing.assert_allclose(device_loads(hotness, rows).sum(axis=0), totals, rtol=1e-13)


def test_an_expert_twice_on_a_device_counts_both_shares():
    loads = device_loads(np.array([[6], [4], [2]]), np.array([[0, 0], [0, 1], [2, 1]]))
    assert loads.tolist() == [[4.0], [4.0], [4.0]]


@pytest.mark.parametrize("seed", range(10))
def test_par_lies_between_one_and_the_number_of_devices(seed):
    hotness, totals, rows = random_layer(seed)
    measured = par(hotness, totals, rows)
    assert measured.min() >= 1 and measured.max() <= len(rows) and measured.std() > 0


def test_all_load_on_one_device_has_a_par_of_the_number_of_devices():
    assert par(np.array([[9], [0], [0]]), np.array([9]), np.array([[0, 0], [1, 1], [2, 2]])).tolist() == [3.0]


@pytest.mark.parametrize("seed", range(10))
def test_names_of_experts_and_devices_do_not_matter_to_par(seed):
    hotness, totals, rows = random_layer(seed)
    rng = np.random.default_rng(seed)
    measured = par(hotness, totals, rows)
    assert np.array_equal(par(hotness, totals, rng.permutation(rows)), measured)
    new_name = rng.permutation(len(hotness))
    assert np.array_equal(par(hotness[np.argsort(new_name)], totals, new_name[rows]), measured)
    np.testing.assert_allclose(par(hotness, totals, rng.permuted(rows, axis=1)), measured, rtol=1e-13)


@pytest.mark.parametrize("seed", range(10))
def test_par_equals_the_slow_oracle_beyond_one_block(seed):
    hotness, totals, rows = random_layer(seed)
    assert hotness.shape[1] > 2 * BLOCK and hotness.shape[1] % BLOCK
    expected = [plain_par(column, rows.tolist()) for column in hotness.T.tolist()]
    np.testing.assert_allclose(par(hotness, totals, rows), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("iterations", [BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 2 * BLOCK + 1])
def test_the_last_iteration_of_a_piece_is_measured_whatever_its_length(iterations):
    hotness = np.ones((3, iterations), np.int32)
    hotness[:, -1] = [9, 0, 0]
    measured = par(hotness, hotness.sum(axis=0), np.array([[0, 0], [1, 1], [2, 2]]))
    assert measured.tolist() == [1.0] * (iterations - 1) + [3.0]


def test_par_does_not_depend_on_how_the_iterations_are_cut():
    hotness, totals, rows = random_layer(3)
    parts = [par(hotness[:, cut], totals[cut], rows) for cut in (slice(0, 7), slice(7, 600), slice(600, None))]
    assert np.array_equal(np.concatenate(parts), par(hotness, totals, rows))
    assert par(hotness[:, :0], totals[:0], rows).shape == (0,)


# Tables


@pytest.mark.parametrize(("experts", "devices"), [(4, 1), (4, 2), (4, 4), (6, 3), (256, 32), (128, 128)])
def test_by_default_the_last_slot_of_a_device_repeats_the_one_before_it(experts, devices):
    table = initial_deployment(2, experts, devices)
    assert table.dtype == np.int64
    per_device = experts // devices
    rows = [[d * per_device + min(s, per_device - 1) for s in range(per_device + 1)] for d in range(devices)]
    assert table.tolist() == [rows, rows] == plain_initial_deployment(2, experts, devices, devices)


def test_devices_that_do_not_divide_the_experts_begin_where_their_share_begins():
    # 5 experts on 3 devices: shares begin at 0, 5/3 and 10/3, so at experts 0, 1 and 3.
    assert initial_deployment(1, 5, 3, 4).tolist() == [[[0, 0, 0], [1, 2, 2], [3, 4, 4]]]
    # 2 experts on 5 devices: neighbours share one.
    assert initial_deployment(1, 2, 5, 3).tolist() == [[[0], [0], [0], [1], [1]]]


@pytest.mark.parametrize(("experts", "devices", "redundant"), [(5, 3, 0), (4, 3, None), (4, 2, -2)])
def test_sizes_that_do_not_fit_are_refused(experts, devices, redundant):
    with pytest.raises(
        ValueError, match=rf"^{experts} experts and -?\d redundant ones do not fill {devices} devices evenly$"
    ):
        initial_deployment(1, experts, devices, redundant)


SIZES = [
    (256, 32, 72),
    (256, 0, 64),
    (256, 64, 320),
    (8, 8, 16),
    (384, 96, 96),
    (160, 0, 40),
    (512, 512, 1024),
    (8, 0, 8),
]


@pytest.mark.parametrize(("experts", "redundant", "devices"), SIZES)
def test_deployed_sizes_begin_as_the_plain_loop_says_and_cover_every_expert(experts, redundant, devices):
    table = initial_deployment(1, experts, devices, redundant)
    assert table.tolist() == plain_initial_deployment(1, experts, devices, redundant)
    assert np.array_equal(np.unique(table), np.arange(experts))


@pytest.mark.parametrize("seed", range(200))
def test_any_sizes_begin_as_the_plain_loop_says_and_cover_every_expert(seed):
    experts, redundant, devices = random_sizes(np.random.default_rng(seed), most_devices=40, most_slots=9)
    table = initial_deployment(1, experts, devices, redundant)
    assert table.tolist() == plain_initial_deployment(1, experts, devices, redundant)
    assert np.array_equal(np.unique(table), np.arange(experts))


def test_replicas_and_changed_slots_are_counted_slot_by_slot():
    rows = np.array([[0, 1, 1], [2, 2, 1]])
    assert replica_counts(rows, 5).tolist() == [1, 3, 2, 0, 0]
    assert changed_slots(rows, rows) == 0
    assert changed_slots(rows, np.array([[1, 0, 1], [2, 2, 1]])) == 2
    assert changed_slots(rows, rows[::-1]) == 4


def test_kept_memory_changes_no_digit_whatever_it_was_used_for_before():
    work = Work()
    for experts, devices, iterations in ((12, 4, 1100), (40, 20, 3), (12, 4, 600)):
        hotness, totals, rows = random_layer(7, experts, devices, iterations)
        assert par(hotness, totals, rows, work).tolist() == par(hotness, totals, rows).tolist()


def test_deployments_that_are_measured_together_get_the_digits_of_each_alone():
    hotness, totals, rows = random_layer(5)
    others = [random_rows(np.random.default_rng(seed), 12, devices) for seed, devices in ((1, 4), (2, 12), (3, 2))]
    together = pars(hotness, totals, [rows, *others], Work())
    assert [one.tolist() for one in together] == [par(hotness, totals, one).tolist() for one in (rows, *others)]


def test_few_and_many_experts_with_several_replicas_are_divided_alike():
    hotness = np.array([[9], [5], [7], [3]])
    assert device_loads(hotness, np.array([[0, 1, 0], [2, 3, 0]])).tolist() == [[11.0], [13.0]]
    assert device_loads(hotness, np.array([[0, 1, 2, 3], [0, 1, 2, 3]])).tolist() == [[12.0], [12.0]]


def test_an_expert_that_the_hotness_lacks_is_named():
    with pytest.raises(IndexError, match=r"^expert 3 among 3 experts$"):
        device_loads(np.ones((3, 1), np.int32), np.array([[0, 1], [2, 3]]))
