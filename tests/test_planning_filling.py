"""Filling of empty slots, on tables that are worked out by hand and on random ones."""

from __future__ import annotations

import numpy as np
import pytest

from planning.filling import fill


def test_the_heaviest_goes_first_to_the_lightest_device_that_lacks_it() -> None:
    # Devices carry 5, 4 and 1; expert 0 (5 each) may go to the second or third, expert 1 (4 each) not to the second.
    table = np.array([[[0, -1], [1, -1], [2, -1]]])
    weight = np.array([[5.0, 4.0, 1.0]])
    assert fill(table, np.array([[2, 2, 2]]), weight).tolist() == [[[0, 1], [1, 2], [2, 0]]]


def test_a_replica_makes_room_where_only_its_own_device_is_left() -> None:
    # Expert 0 goes to device 0, the lightest; expert 1 finds only device 1, which holds it, so expert 0 moves there.
    table = np.array([[[2, -1], [1, -1], [0, 3]]])
    weight = np.array([[5.0, 4.0, 1.0, 1.0]])
    assert fill(table, np.array([[2, 2, 1, 1]]), weight).tolist() == [[[2, 1], [1, 0], [0, 3]]]


def test_a_slot_stays_empty_where_no_replica_can_make_room() -> None:
    table = np.array([[[0, -1], [1, 2]]])
    assert fill(table, np.array([[2, 1, 1]]), np.array([[1.0, 1.0, 1.0]])).tolist() == [[[0, -1], [1, 2]]]


def test_a_table_that_holds_too_many_of_an_expert_is_refused() -> None:
    text = (
        "layer 0 holds expert 0 2 times; expected at most 1, the replicas that it gets; empty the others' slots first"
    )
    with pytest.raises(ValueError, match=f"^{text}$"):
        fill(np.array([[[0, 0], [1, -1]]]), np.array([[1, 3]]), np.ones((1, 2)))


@pytest.mark.parametrize("seed", range(20))
def test_layers_with_different_numbers_of_empty_slots_are_filled_and_what_was_there_stays(seed: int) -> None:
    rng = np.random.default_rng(seed)
    experts, devices, slots = 12, 6, 3
    one = np.append(rng.permutation(experts), np.full(6, -1)).reshape(slots, devices).T
    table = np.stack([one, one])
    table[0, 0, 2] = table[0, 1, 0]
    replicas = np.ones((2, experts), np.int64)
    replicas[0, table[0, 1, 0]] += 1
    for layer, left in enumerate((5, 6)):
        replicas[layer, rng.permutation(experts)[:left]] += 1
    filled = fill(table, replicas, rng.random((2, experts)))
    assert (filled[table >= 0] == table[table >= 0]).all()
    for rows, count in zip(filled, replicas, strict=True):
        assert (np.bincount(rows.ravel(), minlength=experts) == count).all()
        assert all(len(set(device)) == slots for device in rows.tolist())
