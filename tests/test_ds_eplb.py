"""DS-EPLB: slot for slot what the slow oracle plans, ties and float32 rounding included."""

import re

import numpy as np
import pytest

from placement.ds_eplb import LARGEST_SUM, ds_eplb, experts_of_nodes, pack, replicate
from plain_ds_eplb import plain_ds_eplb

SIZES = [(1, 4, 2, 2), (3, 8, 4, 4), (2, 12, 3, 3), (2, 6, 6, 6), (2, 5, 1, 1), (4, 16, 8, 8), (2, 16, 4, 8)]
# One slot per device; no redundant experts; more devices than experts; one device; one expert.
SIZES += [(2, 8, 8, 0), (2, 6, 8, 2), (2, 8, 4, 0), (3, 4, 6, 8), (2, 5, 7, 16), (2, 5, 1, 0), (2, 1, 3, 5)]

# The same, and groups and nodes: one of either, both alike, several groups on a node, one device or slot on a node.
HIERARCHIES = [(2, 8, 4, 4, 4, 2), (2, 8, 4, 4, 4, 4), (2, 8, 4, 4, 8, 4), (2, 12, 6, 6, 6, 3), (2, 12, 6, 0, 6, 2)]
HIERARCHIES += [(2, 12, 4, 4, 3, 1), (2, 12, 16, 4, 4, 4), (2, 4, 8, 12, 4, 2), (3, 8, 4, 8, 2, 2), (2, 6, 6, 0, 6, 6)]
KINDS = ["small", "signed", "equal", "zero", "one hot", "multiples", "large"]


def draw(kind, rng, layers, experts):
    """Weights [layer, expert] with ties of one kind."""
    shape = (layers, experts)
    if kind == "small":
        return rng.integers(0, 4, shape)
    if kind == "signed":
        return rng.integers(-3, 4, shape)
    if kind == "equal":
        return np.full(shape, 7)
    if kind == "zero":
        return np.zeros(shape, np.int64)
    if kind == "one hot":
        return np.where(np.arange(experts) == experts - 1, 1000, 0) * np.ones(shape, np.int64)
    if kind == "multiples":
        return rng.integers(1, 4, shape) * 12
    return 2**31 * 1024 - rng.integers(0, 2**20, shape)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(*size, 1, 1) for size in SIZES] + HIERARCHIES)
def test_plans_equal_the_slow_oracle_slot_for_slot(kind, size):
    layers, experts, devices, redundant, groups, nodes = size
    rng = np.random.default_rng(experts * 100 + devices)
    for _ in range(8):
        weights = draw(kind, rng, layers, experts)
        table = ds_eplb(weights, devices, redundant, groups, nodes)
        assert table.dtype == np.int64
        assert table.shape == (layers, devices, (experts + redundant) // devices)
        assert table.tolist() == plain_ds_eplb(weights, devices, redundant, groups, nodes)


@pytest.mark.parametrize(("experts", "devices"), [(256, 32), (256, 256), (128, 128)])
def test_official_sizes_equal_the_slow_oracle_and_cover_every_expert(experts, devices):
    layers = 58 if experts == 256 else 94
    rng = np.random.default_rng(devices)
    weights = rng.lognormal(14, 1, (layers, experts)).astype(np.int64)
    table = ds_eplb(weights, devices, devices)
    checked = [0, layers // 2, layers - 1]
    assert table[checked].tolist() == plain_ds_eplb(weights[checked], devices, devices)
    assert all(set(rows.ravel().tolist()) == set(range(experts)) for rows in table)


def test_an_official_size_in_groups_equals_the_slow_oracle_and_keeps_each_group_on_one_node():
    weights = np.random.default_rng(8).lognormal(14, 1, (58, 256)).astype(np.int64)
    table = ds_eplb(weights, 32, 32, groups=8, nodes=4)
    assert table[[0, 57]].tolist() == plain_ds_eplb(weights[[0, 57]], 32, 32, 8, 4)
    # [layer, node, replica]: the groups of a node, of which there are two.
    group = np.sort(table.reshape(58, 4, 72) // 32, axis=2)
    assert all(len(set(node.tolist())) == 2 for layer in group for node in layer)
    assert all(set(rows.ravel().tolist()) == set(range(256)) for rows in table)


def test_the_plan_of_a_small_example_computed_by_hand():
    # Replicas: expert 0 (12), then 0 again (6, before expert 1's 6). Shares: 1 -> 6, 0 -> 4 4 4, 2 -> 3, 3 -> 3.
    replica_expert, replica_weight = replicate(np.array([[12, 6, 3, 3]], np.float32), 2)
    assert replica_expert.tolist() == [[0, 1, 2, 3, 0, 0]]
    assert replica_weight.tolist() == [[4, 6, 3, 3, 4, 4]]
    # Packed: 1 on device 0 (6), 0 on 1 (4), 0 on 1 (8), 0 on 0 (10), 2 on 1 (11, full), 3 on 0.
    assert pack(replica_expert, replica_weight, 2).tolist() == [[[1, 0, 3], [0, 0, 2]]]
    assert ds_eplb(np.array([[12, 6, 3, 3]]), 2, 2).tolist() == [[[1, 0, 3], [0, 0, 2]]]


def test_the_plan_of_groups_and_nodes_computed_by_hand():
    # Groups of two weigh 3, 20, 9, 8: group 1 on node 0 (20), 2 on node 1 (9), 3 on 1 (17), 0 on 0.
    weights = [[1, 2, 8, 12, 4, 5, 6, 2]]
    # Node 0 has the experts 2 3 0 1, adds replicas of 3 and 2, and packs 3 (6) 3 (6) 2 (4) 2 (4) 1 (2) 0 (1) in turn.
    # Node 1 has 4 5 6 7, adds 6 and 5: 4 (4) on its first device, 6 (3) 6 (3) on the second, 5 (2.5) on the first, 5 on
    # the second, which is full then, 7 (2) on the first.
    table = [[[3, 2, 1], [3, 2, 0], [4, 5, 7], [6, 6, 5]]]
    assert ds_eplb(weights, 4, 4, groups=4, nodes=2).tolist() == table


def test_as_many_groups_as_nodes_stay_in_their_order():
    # By weight, group 1 would come first.
    assert ds_eplb([[1, 1, 9, 9]], 2, 0, groups=2, nodes=2).tolist() == [[[0, 1], [2, 3]]]
    assert ds_eplb([[1, 1, 9, 9]], 4, 0, groups=2, nodes=2).tolist() == [[[0], [1], [2], [3]]]


def test_groups_on_a_single_node_still_order_its_experts():
    # Of equal experts the one of the heavier group gets the replica.
    assert ds_eplb([[5, 0, 5, 1]], 1, 1, groups=2, nodes=1).tolist() == [[[0, 2, 2, 3, 1]]]
    assert ds_eplb([[5, 0, 5, 1]], 1, 1).tolist() == [[[2, 0, 0, 3, 1]]]


def test_of_equal_experts_the_first_ones_get_the_replicas_and_devices_fill_in_turn():
    assert ds_eplb(np.full((1, 4), 5), 2, 2).tolist() == [[[2, 0, 0], [3, 1, 1]]]


def test_a_full_device_gets_nothing_however_light_it_is():
    # Without weight every device stays the lightest: the first one fills up, then the second.
    assert ds_eplb(np.zeros((1, 4), np.int64), 2, 2).tolist() == [[[0, 1, 2], [3, 0, 0]]]


def test_devices_of_one_slot_take_the_replicas_in_their_order():
    assert ds_eplb([[1, 5, 3, 2]], 4, 0).tolist() == [[[0], [1], [2], [3]]]
    # The added replicas, of 1 and then of 2 (3 before 5/2), come last.
    assert ds_eplb([[1, 5, 3, 2]], 6, 2).tolist() == [[[0], [1], [2], [3], [1], [2]]]


def test_layers_are_planned_independently():
    weights = np.random.default_rng(2).integers(0, 9, (5, 8))
    together = ds_eplb(weights, 4, 4)
    assert together.tolist() == [ds_eplb(weights[[layer]], 4, 4)[0].tolist() for layer in range(5)]


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint32, np.float32, np.float64])
def test_the_type_of_the_weights_does_not_matter_and_they_are_not_changed(dtype):
    weights = np.random.default_rng(3).integers(0, 50, (3, 12))
    given = weights.astype(dtype)
    assert ds_eplb(given, 3, 3).tolist() == ds_eplb(weights.tolist(), 3, 3).tolist()
    assert np.array_equal(given, weights) and given.dtype == dtype


@pytest.mark.parametrize("weight", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_refused(weight):
    with pytest.raises(ValueError, match=r"^weights must be finite$"):
        ds_eplb(np.array([[1.0, 2.0], [3.0, weight]]), 2, 2)


@pytest.mark.parametrize(
    ("weights", "total"),
    [
        ([3e38] * 4, "1.2e+39"),
        ([0, 0, 1e39, 0], "1e+39"),
        ([2.0**126, -(2.0**126), 1e30, 0], "1.7e+38"),
        ([1e308] * 4, "inf"),
    ],
)
def test_weights_whose_sums_float32_might_not_hold_are_refused(weights, total):
    text = f"layer 1 sum to {total}, without their signs; expected at most 1.7e+38, half of what float32 holds"
    with pytest.raises(ValueError, match=f"^weights of {re.escape(text)}; divide all weights by one number$"):
        ds_eplb(np.array([[1.0] * 4, weights]), 2, 2)


@pytest.mark.parametrize(("groups", "nodes"), [(1, 1), (4, 2)])
def test_the_largest_weights_are_planned_as_small_ones_are(groups, nodes):
    rng = np.random.default_rng(5)
    for _ in range(20):
        small = rng.integers(1, 1000, (3, 16))
        small[:, 0] += 2**14 - small.sum(axis=1)
        # Scaled by a power of two, so that nothing is rounded otherwise; the sums are the largest.
        large = small * 2.0**113
        assert large.sum(axis=1).tolist() == [LARGEST_SUM] * 3
        planned = ds_eplb(large, 8, 16, groups, nodes)
        assert planned.tolist() == plain_ds_eplb(small, 8, 16, groups, nodes)


@pytest.mark.parametrize(
    ("sizes", "text"),
    [
        ((0, 4), "devices must be at least 1, got 0"),
        ((-2, 4), "devices must be at least 1, got -2"),
        ((4, -4), "redundant must be at least 0, got -4"),
        ((4, 4, 0), "groups must be at least 1, got 0"),
        ((4, 4, 1, 0), "nodes must be at least 1, got 0"),
    ],
)
def test_sizes_that_are_too_small_are_refused(sizes, text):
    with pytest.raises(ValueError, match=rf"^{text}$"):
        ds_eplb(np.ones((2, 8)), *sizes)


def test_layers_without_experts_are_refused():
    with pytest.raises(ValueError, match=r"^experts must be at least 1, got 0$"):
        ds_eplb(np.ones((2, 0)), 2, 2)


@pytest.mark.parametrize(("redundant", "devices"), [(3, 4), (0, 3), (1, 2)])
def test_replicas_that_do_not_fill_the_devices_evenly_are_refused(redundant, devices):
    text = rf"^8 experts and {redundant} redundant ones do not fill {devices} devices evenly$"
    with pytest.raises(ValueError, match=text):
        ds_eplb(np.ones((2, 8)), devices, redundant)


@pytest.mark.parametrize(
    ("groups", "nodes", "text"),
    [
        (3, 1, "8 experts do not fill 3 groups evenly"),
        (4, 3, "4 groups do not fill 3 nodes evenly"),
        (8, 8, "4 devices do not fill 8 nodes evenly"),
    ],
)
def test_groups_and_nodes_that_do_not_divide_evenly_are_refused(groups, nodes, text):
    with pytest.raises(ValueError, match=rf"^{text}$"):
        ds_eplb(np.ones((2, 8)), 4, 0, groups, nodes)


def test_a_window_that_was_not_summed_is_refused():
    text = r"^weights must be \[layer, expert\], got shape \[3, 2, 8\]; sum over the window first$"
    with pytest.raises(ValueError, match=text):
        ds_eplb(np.ones((3, 2, 8)), 2, 2)


def test_layers_may_be_none():
    assert ds_eplb(np.ones((0, 8)), 4, 4, groups=4, nodes=2).shape == (0, 4, 3)


# float32: tables that double precision would plan otherwise, pinned so that every numpy gives them


def test_weights_that_float32_cannot_tell_apart_are_ties():
    large = 2**31 * 1024
    # In double precision expert 1 would be the heaviest and get the replica.
    assert ds_eplb(np.array([[large, large + 1]]), 1, 1).tolist() == [[[1, 0, 0]]]
    assert ds_eplb(np.array([[large, large + 2**18]]), 1, 1).tolist() == [[[0, 1, 1]]]


def test_loads_are_accumulated_in_float32():
    # Both devices carry 2^25, to which float32 cannot add 1: device 0 stays the lightest until it is full.
    table = ds_eplb(np.array([[2**25, 2**25, 1, 1, 1, 1]]), 2, 2)
    assert table.tolist() == [[[0, 0, 2, 3], [1, 1, 4, 5]]]


def test_shares_are_divided_in_float32():
    # A third of either weight is 5000000.5 in float32, so the replicas keep the order in which they were added.
    weights = np.array([[15_000_001, 15_000_002]])
    assert replicate(weights.astype(np.float32), 4)[1].tolist() == [[5000000.5] * 6]
    assert ds_eplb(weights, 1, 4).tolist() == [[[0, 1, 1, 0, 1, 0]]]


def test_a_groups_weight_is_rounded_once():
    # One after the other in float32, group 0 would stay at 2^24 and follow group 1; its sum is 2^24 + 4.
    weights = [[2**24, 1, 1, 1, 1, 2**24 + 2, 0, 0, 0, 0]]
    assert experts_of_nodes(np.array(weights, np.float32), 2, 1).tolist() == [list(range(10))]


# From the README of deepseek-ai/EPLB: weights of 12 experts in two layers.
EXAMPLE = np.array(
    [
        [90, 132, 40, 61, 104, 165, 39, 4, 73, 56, 183, 86],
        [20, 107, 104, 64, 19, 197, 187, 157, 172, 86, 16, 27],
    ]
)


def test_the_published_example_comes_out():
    assert ds_eplb(EXAMPLE, 8, 4, groups=4, nodes=2).reshape(2, 16).tolist() == [
        [5, 6, 5, 7, 8, 4, 3, 4, 10, 9, 10, 2, 0, 1, 11, 1],
        [7, 10, 6, 8, 6, 11, 8, 9, 2, 4, 5, 1, 5, 0, 3, 1],
    ]
