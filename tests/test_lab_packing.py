"""Packing: rules, bounds, filled slots, and whole tables dealt out in pairs."""

from __future__ import annotations

import numpy as np
import pytest

from lab.planning.even import even_table
from lab.serving.replicas import replicas_of
from lab.serving.torus import Torus
from planning.packing import deal_out, heaviest_first, pairs
from planning.replication import replicas_by_load

GRID = Torus(16, 8)


def device_load(table: np.ndarray, share: np.ndarray) -> np.ndarray:
    return np.where(table >= 0, share[table], 0.0).sum(axis=1)


@pytest.mark.parametrize("pack", [heaviest_first, deal_out])
def test_filled_slots_stay_and_every_replica_finds_a_place(pack) -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        table = np.full((6, 3), -1)
        table[rng.permutation(6)[:2], 0] = 99
        replicas = rng.integers(0, 10, size=16)
        packed = pack(replicas, rng.random(16), table, np.zeros(6))
        assert (packed[table == 99] == 99).all() and sorted(packed[table < 0]) == sorted(replicas)


def test_what_devices_carry_already_counts() -> None:
    table = np.array([[9, -1], [-1, -1]])
    assert heaviest_first(np.array([1, 2]), np.array([3, 2]), table, np.array([9.0, 0])).tolist() == [[9, -1], [1, 2]]
    table = np.array([[9, -1], [8, -1]])
    assert deal_out(np.array([1, 2]), np.array([3, 2]), table, np.array([5.0, 1])).tolist() == [[9, 2], [8, 1]]


def test_replicas_of_an_expert_go_to_other_groups_first() -> None:
    group = np.array([0, 0, 1, 1])
    packed = heaviest_first(np.array([5, 5, 6]), np.array([2, 2, 1]), np.full((4, 1), -1), np.zeros(4), group)
    assert set(group[(packed == 5).any(axis=1)]) == {0, 1}


def test_within_its_groups_an_expert_goes_to_a_device_that_does_not_hold_it_however_heavy() -> None:
    table = np.array([[5, -1], [9, -1]])
    packed = heaviest_first(np.array([5]), np.array([1]), table, np.array([0.0, 7]), np.array([0, 0]))
    assert packed.tolist() == [[5, -1], [9, 5]]


def test_replicas_are_dealt_to_the_devices_with_the_most_empty_slots_however_heavy() -> None:
    table = np.array([[9, -1], [-1, -1]])
    dealt = deal_out(np.array([1, 2, 3]), np.array([3, 2, 1]), table, np.array([0.0, 5]))
    assert dealt.tolist() == [[9, 2], [1, 3]]


def test_more_replicas_than_slots_are_refused() -> None:
    for pack in (heaviest_first, deal_out):
        with pytest.raises(ValueError, match="3 replicas do not fit into 2 empty slots"):
            pack(np.arange(3), np.ones(3), np.full((2, 1), -1), np.zeros(2))


def test_two_slots_dealt_out_load_devices_as_pairs_do() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        load = rng.permutation(100)[:16]
        dealt = deal_out(np.arange(16), load, np.full((8, 2), -1), np.zeros(8))
        assert sorted(load[dealt].sum(axis=1)) == sorted(load[pairs(load, 8)].sum(axis=1))


def test_three_slots_dealt_out_keep_the_replicas_of_the_optimum() -> None:
    load = 1000.0 / (1 + np.arange(256))
    replicas = replicas_by_load(load, 384)
    share = load / replicas
    ids = np.repeat(np.arange(256), replicas)
    table = deal_out(ids, share[ids], np.full((128, 3), -1), np.zeros(128))
    assert np.array_equal(np.bincount(table.ravel()), replicas)
    heaviest = heaviest_first(ids, share[ids], np.full((128, 3), -1), np.zeros(128))
    loads = [device_load(packed, share) for packed in (table, heaviest)]
    print("mean", loads[0].mean(), "dealt", loads[0].max(), "heaviest first", loads[1].max())
    assert loads[0].max() <= 3 * share.max() and loads[1].max() <= 3 * share.max()


@pytest.mark.parametrize("pack", ["heaviest", "pairs"])
@pytest.mark.parametrize("shared", [True, "ordinary"])
def test_the_shared_expert_is_fixed_or_as_hot_as_its_load(pack: str, shared: bool | str) -> None:
    load = np.random.default_rng(0).poisson(300 / (1 + np.arange(256)) + 1, size=(3, 256))
    table = even_table(load, GRID, shared=shared, pack=pack, top_k=8)
    replicas = replicas_of(table, 257)
    assert (table >= 0).all() and len(replicas.slot) == 384
    if shared is True:
        assert replicas.count[256] == 16 and (np.bincount(GRID.row(replicas.device[replicas.expert == 256])) == 1).all()
    else:
        everything = np.append(load.mean(axis=0), load.sum(axis=1).mean() / 8)
        assert np.array_equal(replicas.count, replicas_by_load(everything, 384))


def test_unknown_words_are_refused() -> None:
    load = np.ones((1, 8))
    for wrong, text in (({"pack": "best"}, "pack"), ({"shared": "often"}, "shared"), ({"replicate": "more"}, "rep")):
        with pytest.raises(ValueError, match=f"{text}.* got '"):
            even_table(load, Torus(2, 2), 3, **wrong, top_k=8)
    with pytest.raises(ValueError, match="the shared expert's load follows from top_k, got none"):
        even_table(load, Torus(2, 2), 3)
