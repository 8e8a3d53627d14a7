"""Exchanges with the busiest device, by hand and against all exchanges tried one by one."""

from __future__ import annotations

import numpy as np
import pytest

from planning.levelling import LEAST, levelled


def loads(table: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return np.append(weight, 0.0)[table].sum(axis=1)


def twice(table: np.ndarray) -> int:
    """How many slots hold an expert that a slot before on the same device holds already."""
    return sum(len(held) - len(set(held)) for held in ([e for e in row if e >= 0] for row in table.tolist()))


def helps(table: np.ndarray, weight: np.ndarray, fixed: int | None) -> bool:
    """Whether an exchange of the busiest device leaves both devices below what that one carries: each tried."""
    before = loads(table, weight)
    least = 1.001 * LEAST * before.mean()
    busy = int(before.argmax())
    for slot, (device, its) in ((s, at) for s in range(table.shape[1]) for at in np.ndindex(table.shape)):
        after = table.copy()
        after[busy, slot], after[device, its] = table[device, its], table[busy, slot]
        if fixed in (table[busy, slot], table[device, its]) or twice(after) > twice(table):
            continue
        if loads(after, weight)[[busy, device]].max() < before[busy] - least:
            return True
    return False


@pytest.mark.parametrize(("fixed", "after"), [(0, [[0, 2], [1, 3]]), (1, [[3, 1], [2, 0]])])
def test_one_exchange_by_hand_leaves_the_fixed_expert_where_it_is(fixed: int, after: list[list[int]]) -> None:
    # 9 + 8 against 1 + 2, mean 10: 8 for 1 or 9 for 2.
    assert levelled(np.array([[0, 1], [2, 3]]), np.array([9.0, 8.0, 1.0, 2.0]), fixed).tolist() == after


def test_the_exchange_that_takes_a_device_nearest_to_the_mean_goes_first() -> None:
    table = np.array([[0, 1], [2, 3], [4, 5]])
    # 11, 5, 8: 7 for 4 takes both to the mean, 8; 7 for 6 helps as well.
    assert levelled(table, np.array([7.0, 4.0, 4.0, 1.0, 6.0, 2.0])).tolist() == [[2, 1], [0, 3], [4, 5]]
    # 27, 21, 3, mean 17: 14 for 1 leaves 14 and 16, 14 for 2 would leave 15 and 15.
    assert levelled(table, np.array([14.0, 13, 9, 12, 1, 2])).tolist() == [[4, 1], [2, 3], [0, 5]]
    # 19, 15, 11: 5 for 4 leaves 18 and 16, a quarter of what they differed by from the mean; 5 for 2 leaves 16 and 14,
    # an eighth.
    assert levelled(table, np.array([5.0, 14, 11, 4, 9, 2])).tolist() == [[5, 1], [2, 3], [4, 0]]


def test_an_expert_goes_to_no_device_that_holds_it() -> None:
    # 4 + 5 against 4 + 1: 5 for 4 and 4 for 1 would help, but put expert 0 twice on a device; 5 for 1 does not help.
    table = [[0, 1], [0, 2]]
    assert levelled(np.array(table), np.array([4.0, 5.0, 1.0])).tolist() == table


def test_without_load_or_with_a_single_device_nothing_changes() -> None:
    with np.errstate(all="raise"):
        assert levelled(np.array([[0, 1], [-1, 1]]), np.zeros(2)).tolist() == [[0, 1], [-1, 1]]
        assert levelled(np.array([[0, 1]]), np.ones(2)).tolist() == [[0, 1]]


@pytest.mark.parametrize("seed", range(30))
def test_exchanges_end_where_none_helps_and_keep_what_they_must(seed: int) -> None:
    rng = np.random.default_rng(seed)
    # Whole numbers in every second case: devices that tie, experts that weigh the same.
    weight = rng.lognormal(size=9) if seed % 2 else rng.integers(0, 6, size=9).astype(float)
    fixed = 0 if seed % 3 == 0 else None
    table = np.concatenate([np.arange(9), rng.choice(9, size=4), [-1, -1]])
    table = rng.permutation(table).reshape(5, 3)
    better = levelled(table, weight, fixed)
    assert sorted(better.ravel()) == sorted(table.ravel()) and twice(better) <= twice(table)
    assert loads(better, weight).max() <= loads(table, weight).max() * (1 + 1e-12)
    assert not helps(better, weight, fixed)
    if fixed is not None:
        assert np.array_equal(better == fixed, table == fixed)
