"""Yardsticks in hindsight: searched placements against DS-EPLB's, and a balancer of every batch against a slow loop."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import yaml

import judge
from benchmarking.plain_replay import plain_par
from cases import make_case, make_trace, random_rows, random_sizes
from judging.hindsight import batches_par, best_exchange, cycles_par, fixed_par, improved, searched
from placement.balance import par
from placement.clairvoyant import clairvoyant_par, ds_eplb_calls
from placement.deployment import replica_counts
from placement.ds_eplb import ds_eplb
from plain_ds_eplb import plain_ds_eplb
from submissions import grid_mapping, write_world


def test_the_fixed_placement_suits_all_iterations_from_the_first_call_on() -> None:
    # Experts 0 and 1 are hot together, 2 and 3 in the other iterations: apart, every PAR is 1. Sums are all alike.
    hotness = [(3, 3, 1, 1), (1, 1, 3, 3)] * 5
    case = make_case(layers=1, experts=4, devices=2, window=3, redundant=0)
    measured = fixed_par(make_trace([[step] for step in hotness]), case)
    # The initial deployment has 0 and 1 on one device: 6 of 8 on two devices.
    assert measured[:, 0].tolist() == pytest.approx([1.5] * 4 + [1.0] * 6)


def test_each_cycle_has_a_placement_of_its_own() -> None:
    # Window 1: calls at 2, 5 and 8. In each cycle another two of experts 0, 1 and 2 are hot: two devices cannot hold
    # all three apart, so that a fixed placement fails one cycle in three.
    hotness = [(1, 1, 1, 1)] * 2 + [(3, 3, 1, 1)] * 3 + [(3, 1, 3, 1)] * 3 + [(1, 3, 3, 1)] * 3
    case = make_case(layers=1, experts=4, devices=2, window=1, redundant=0)
    trace = make_trace([[step] for step in hotness])
    assert list(ds_eplb_calls(case, 10)) == [2, 5, 8]
    assert cycles_par(trace, case)[:, 0].tolist() == pytest.approx([1.0] * 11)
    assert sorted(fixed_par(trace, case)[:, 0]) == pytest.approx([1.0] * 8 + [1.5] * 3)


@pytest.mark.parametrize("seed", range(8))
def test_searched_placements_are_never_worse_than_ds_eplbs_and_cover_all_experts(seed: int) -> None:
    rng = np.random.default_rng(seed)
    experts, redundant, devices = random_sizes(rng)
    case = make_case(2, experts, devices, window=4, redundant=redundant)
    trace = make_trace(rng.integers(0, 40, (30, 2, experts)) * rng.integers(1, 9, experts))
    table = searched(trace, case, 5, 30)
    plan = ds_eplb(trace.expert_major[:, :, 5:].sum(axis=2), devices, redundant)
    assert all((replica_counts(rows, experts) > 0).all() for rows in table)
    for layer in range(2):
        seen = trace.expert_major[layer, :, 5:], trace.totals[layer, 5:]
        assert par(*seen, table[layer]).mean() <= par(*seen, plan[layer]).mean() + 1e-12
    assert cycles_par(trace, case).mean() <= clairvoyant_par(trace, case).mean() + 1e-12


@pytest.mark.parametrize("seed", range(6))
def test_the_best_exchange_is_the_best_of_all_that_keep_experts_apart(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = random_rows(rng, 8, 4)
    hotness = rng.integers(1, 50, (8, 12))
    parts = hotness / replica_counts(rows, 8)[:, None]
    device = int(rng.integers(0, 4))

    def mean_of_largest(rows: np.ndarray) -> float:
        return parts[rows].sum(axis=1).max(axis=0).mean()

    values = {}
    for slot, other, its_slot in itertools.product(range(3), range(4), range(3)):
        mine, its = rows[device, slot], rows[other, its_slot]
        if other != device and mine not in rows[other] and its not in rows[device]:
            after = rows.copy()
            after[device, slot], after[other, its_slot] = its, mine
            values[slot, other, its_slot] = mean_of_largest(after)
    found = best_exchange(parts, parts[rows].sum(axis=1), rows, device)
    assert values[found] == pytest.approx(min(values.values()))


def test_where_no_exchange_keeps_experts_apart_nothing_is_exchanged() -> None:
    rows = np.array([[0, 1], [0, 1]])
    hotness = np.array([[5, 1], [1, 3]])
    assert best_exchange(hotness / 2, np.ones((2, 2)), rows, 1) == (0, 1, 0)
    assert improved(hotness, hotness.sum(axis=0), rows, 5).tolist() == rows.tolist()
    assert improved(hotness, hotness.sum(axis=0), np.array([[0, 1]]), 5).tolist() == [[0, 1]]


def test_exchanges_end_at_the_least_mean_par_and_not_at_the_par_of_the_sums() -> None:
    # Sums are 8 each: every split has PAR 1 of the sums. Of single iterations only 0 2 | 1 3 and 0 3 | 1 2 have.
    hotness = np.array([[7, 1], [7, 1], [1, 7], [1, 7]])
    rows = improved(hotness, hotness.sum(axis=0), np.array([[0, 1], [2, 3]]), 10)
    assert par(hotness, hotness.sum(axis=0), rows).tolist() == [1.0, 1.0]
    assert improved(hotness, hotness.sum(axis=0), np.array([[0, 1], [2, 3]]), 0).tolist() == [[0, 1], [2, 3]]


@pytest.mark.parametrize(("seed", "latency"), [(0, 0), (1, 2), (2, 0), (3, 5)])
def test_a_balancer_of_every_batch_equals_a_slow_loop(seed: int, latency: int) -> None:
    rng = np.random.default_rng(seed)
    experts, redundant, devices = random_sizes(rng)
    case = make_case(2, experts, devices, window=4, latency=latency, redundant=redundant)
    trace = make_trace(rng.integers(0, 40, (45, 2, experts)))
    measured = batches_par(trace, case)
    np.testing.assert_array_equal(measured[:5], clairvoyant_par(trace, case)[:5])
    for iteration in range(5, 45):
        hotness = trace.expert_major[:, :, iteration].tolist()
        tables = plain_ds_eplb(hotness, devices, redundant)
        slow = [plain_par(tokens, rows) for tokens, rows in zip(hotness, tables, strict=True)]
        assert measured[iteration].tolist() == pytest.approx(slow)


def test_the_command_prints_ds_eplb_and_its_yardsticks_case_by_case(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_world(tmp_path)
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump(grid_mapping()), encoding="utf-8")
    options = ["--grid", str(tmp_path / "grid.yaml"), "--traces", str(tmp_path / "traces")]
    assert judge.main(["yardsticks", "Small/one", *options]) == 0
    lines = [line.split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]
    assert [line[0] for line in lines] == ["| Small/one ep 2"] * 5 + ["| Small/one ep 4"] * 5
    assert lines[0][1] == lines[5][1] == "DS-EPLB" and lines[0][3] == lines[5][3] == "100.000 |"
    for case in (lines[:5], lines[5:]):
        pars = {line[1]: float(line[2]) for line in case}
        assert pars["one for each cycle, in hindsight"] <= pars["clairvoyant DS-EPLB"]
    assert judge.main(["yardsticks", "Small/one", "--ep", "4", *options]) == 0
    assert [line.split(" | ") for line in capsys.readouterr().out.splitlines()[2:]] == lines[5:]
    assert judge.main(["yardsticks", "Small/none", *options]) == 2
