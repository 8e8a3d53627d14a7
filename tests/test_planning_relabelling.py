"""The same plan with devices renamed and slots reordered: against every renaming that there is."""

from __future__ import annotations

from collections import Counter
from itertools import permutations

import numpy as np
import pytest

from placement import balance
from planning.alignment import align_slots
from planning.relabelling import relabel

# Experts, devices, slots. Experts come twice on a device, too.
SIZES = [(8, 4, 3), (3, 5, 2), (6, 6, 1), (4, 3, 4)]


def any_tables(size: tuple[int, int, int], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two of a single layer, in which every expert has a slot."""
    experts, devices, slots = size
    rng = np.random.default_rng(seed)
    spare = rng.integers(0, experts, (2, devices * slots - experts))
    tables = [rng.permutation(np.concatenate([np.arange(experts), more])) for more in spare]
    return tuple(table.reshape(1, devices, slots) for table in tables)


def stays(order: tuple[int, ...], table: np.ndarray, live: np.ndarray) -> int:
    """Slots that need not change when each place gets the device that `order` names."""
    return sum(
        (Counter(table[0, source].tolist()) & Counter(held)).total()
        for source, held in zip(order, live[0].tolist(), strict=True)
    )


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seed", range(8))
def test_no_renaming_changes_fewer_slots_and_of_equals_it_is_the_first(size: tuple[int, int, int], seed: int) -> None:
    table, live = any_tables(size, seed)
    found = relabel(table, live, size[0])
    orders = list(permutations(range(size[1])))
    most = max(stays(order, table, live) for order in orders)
    first = next(order for order in orders if stays(order, table, live) == most)
    assert found.size - (found != live).sum() == most
    assert (found == align_slots(table[:, list(first)], live)).all()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seed", range(4))
def test_par_stays(size: tuple[int, int, int], seed: int) -> None:
    table, live = any_tables(size, seed)
    hotness = np.random.default_rng(seed).integers(1, 100, (size[0], 6))
    tables = table, relabel(table, live, size[0])
    before, after = (balance.par(hotness, hotness.sum(axis=0), rows[0]) for rows in tables)
    # A device's loads may be added up in another order.
    np.testing.assert_allclose(before, after, rtol=1e-14)


def test_layers_are_relabelled_alone_and_a_plan_with_nothing_in_common_keeps_its_order() -> None:
    live = np.array([[[0, 1], [2, 3]], [[0, 1], [0, 1]]])
    table = np.array([[[3, 2], [1, 0]], [[2, 3], [4, 5]]])
    assert relabel(table, live, 6).tolist() == [[[0, 1], [2, 3]], [[2, 3], [4, 5]]]


@pytest.mark.parametrize("devices", [64, 256])
def test_preferring_low_devices_costs_no_slot(devices: int) -> None:
    rng = np.random.default_rng(devices)
    live = rng.permutation(np.arange(devices * 2) % 256)[None].reshape(1, devices, 2)
    shuffled = live[:, rng.permutation(devices)]
    assert (relabel(shuffled, live, 256) == live).all()


def test_what_a_device_holds_already_stays_in_its_slot() -> None:
    live = np.array([[[4, 1, 2], [0, 3, 3]]])
    assert align_slots(np.array([[[2, 5, 4], [3, 1, 3]]]), live).tolist() == [[[4, 5, 2], [1, 3, 3]]]
