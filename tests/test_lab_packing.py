"""Packing: rules, bounds, filled slots, and whole plans dealt out in pairs."""

from __future__ import annotations

import numpy as np
import pytest

from lab.planning.even import even_plan
from lab.serving.replicas import copies_of
from lab.serving.torus import Torus
from planning.packing import deal_out, heaviest_first, pairs
from planning.replication import copies_by_load

GRID = Torus(16, 8)


def device_load(plan: np.ndarray, share: np.ndarray) -> np.ndarray:
    return np.where(plan >= 0, share[plan], 0.0).sum(axis=1)


@pytest.mark.parametrize("pack", [heaviest_first, deal_out])
def test_filled_slots_stay_and_every_copy_finds_a_place(pack) -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        plan = np.full((6, 3), -1)
        plan[rng.permutation(6)[:2], 0] = 99
        copies = rng.integers(0, 10, size=16)
        found = pack(copies, rng.random(16), plan, np.zeros(6))
        assert (found[plan == 99] == 99).all() and sorted(found[plan < 0]) == sorted(copies)


def test_what_devices_carry_already_counts() -> None:
    plan = np.array([[9, -1], [-1, -1]])
    assert heaviest_first(np.array([1, 2]), np.array([3, 2]), plan, np.array([9.0, 0])).tolist() == [[9, -1], [1, 2]]
    plan = np.array([[9, -1], [8, -1]])
    assert deal_out(np.array([1, 2]), np.array([3, 2]), plan, np.array([5.0, 1])).tolist() == [[9, 2], [8, 1]]


def test_copies_of_an_expert_go_to_other_groups_first() -> None:
    group = np.array([0, 0, 1, 1])
    found = heaviest_first(np.array([5, 5, 6]), np.array([2, 2, 1]), np.full((4, 1), -1), np.zeros(4), group)
    assert set(group[(found == 5).any(axis=1)]) == {0, 1}


def test_more_copies_than_slots_are_refused() -> None:
    for pack in (heaviest_first, deal_out):
        with pytest.raises(ValueError, match="3 copies do not fit into 2 empty slots"):
            pack(np.arange(3), np.ones(3), np.full((2, 1), -1), np.zeros(2))


def test_two_slots_dealt_out_load_devices_as_pairs_do() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        load = rng.permutation(100)[:16]
        dealt = deal_out(np.arange(16), load, np.full((8, 2), -1), np.zeros(8))
        assert sorted(load[dealt].sum(axis=1)) == sorted(load[pairs(load, 8)].sum(axis=1))


def test_three_slots_dealt_out_keep_the_copies_of_the_optimum() -> None:
    load = 1000.0 / (1 + np.arange(256))
    copies = copies_by_load(load, 384)
    share = load / copies
    ids = np.repeat(np.arange(256), copies)
    plan = deal_out(ids, share[ids], np.full((128, 3), -1), np.zeros(128))
    assert np.array_equal(np.bincount(plan.ravel()), copies)
    heaviest = heaviest_first(ids, share[ids], np.full((128, 3), -1), np.zeros(128))
    loads = [device_load(own, share) for own in (plan, heaviest)]
    print("mean", loads[0].mean(), "dealt", loads[0].max(), "heaviest first", loads[1].max())
    assert loads[0].max() <= 3 * share.max() and loads[1].max() <= 3 * share.max()


@pytest.mark.parametrize("pack", ["heaviest", "pairs"])
@pytest.mark.parametrize("shared", [True, "ordinary"])
def test_the_shared_expert_is_fixed_or_as_hot_as_its_load(pack: str, shared: bool | str) -> None:
    load = np.random.default_rng(0).poisson(300 / (1 + np.arange(256)) + 1, size=(3, 256))
    plan = even_plan(load, GRID, shared=shared, pack=pack)
    copies = copies_of(plan, 257)
    assert (plan >= 0).all() and len(copies.slot) == 384
    if shared is True:
        assert copies.count[256] == 16 and (np.bincount(GRID.row(copies.device[copies.expert == 256])) == 1).all()
    else:
        everything = np.append(load.mean(axis=0), load.sum(axis=1).mean() / 8)
        assert np.array_equal(copies.count, copies_by_load(everything, 384))


def test_unknown_words_are_refused() -> None:
    load = np.ones((1, 8))
    for wrong, text in (({"pack": "best"}, "pack"), ({"shared": "often"}, "shared"), ({"replicate": "more"}, "rep")):
        with pytest.raises(ValueError, match=f"{text}.* got '"):
            even_plan(load, Torus(2, 2), 3, **wrong)
