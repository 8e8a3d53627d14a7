"""Oracles against brute force, bounds, starts, and the ladder of methods below them."""

from __future__ import annotations

import re
import sys
from itertools import permutations, product

import numpy as np
import pandas as pd
import pytest

from lab.commands.main import main
from lab.experiments.oracle_row import BOUND, OPTIMUM, gap_sentence, oracle_rows
from lab.oracle.branch_and_bound import least_load
from lab.oracle.brute_force import least, number_of_tables, tables
from lab.oracle.cp_sat import least_load_cp
from lab.oracle.even_load import EvenLoad
from lab.oracle.layer_search import searched
from lab.oracle.outcome import Outcome, gap_to
from lab.oracle.pieces import solved_row
from lab.oracle.subset import DRAWN, as_one, subset
from lab.oracle.topology import demand_of, hops_of, least_hops
from lab.serving.measures import even_loads, even_par
from lab.serving.torus import Torus
from lab.traces.generators import Sample, bursty
from lab.traces.trace_file import save_trace
from lab_cases import random_batches, random_table
from placement.errors import Problem

SIZES = [(3, 2, 2), (4, 2, 3), (4, 3, 2), (5, 2, 3), (6, 3, 2), (8, 4, 2)]


def loads(seed: int, experts: int) -> np.ndarray:
    return np.sort(np.random.default_rng(seed).integers(0, 200, experts)) ** 2 // 100


def test_every_table_of_a_tiny_grid_comes_once_and_no_other() -> None:
    for experts, devices, slots in ((2, 2, 1), (3, 2, 2), (4, 3, 2)):
        for empty in (False, True):
            every = [table.tolist() for table in tables(experts, devices, slots, empty)]
            flat = product(range(-empty, experts), repeat=devices * slots)
            whole = (np.array(one).reshape(devices, slots) for one in flat if {*one} - {-1} == {*range(experts)})
            assert sorted(every) == sorted(one.tolist() for one in whole if (np.diff(one) >= 0).all())
            assert len(every) == number_of_tables(experts, devices, slots, empty)


def test_brute_force_takes_any_objective_and_refuses_what_it_cannot_try() -> None:
    found = least(3, 3, 1, lambda table: float(abs(table[:, 0] - [2, 0, 1]).sum()))
    assert found.table.ravel().tolist() == [2, 0, 1]
    assert (found.objective, found.bound, found.work, found.proven) == (0.0, 0.0, 6, True)
    with pytest.raises(Problem) as refused:
        least(12, 4, 4, lambda _: 0.0)
    assert str(refused.value) == (
        "brute force cannot try the tables. Got: 9133254900 tables of 12 experts on 4 devices of 4 slots. Expected: 1 "
        "to 20000, for example 6 experts on 3 devices of 2 slots. Next: take other sizes, or another objective."
    )


def test_even_loads_are_those_of_a_hand_computed_table() -> None:
    table, load = np.array([[0, 1], [0, -1]]), np.array([6.0, 2.0])
    assert even_loads(table, load).tolist() == [5.0, 3.0]
    assert even_par(table, load) == 1.25
    # As if every expert had the same: 1.5 on one device and 0.5 on the other.
    assert even_par(table, np.zeros(2)) == 1.5


def test_the_delta_of_even_loads_is_the_objectives_change() -> None:
    for seed in range(3):
        state = EvenLoad(random_table(seed), loads(seed, 12))
        for first, second in np.random.default_rng(seed).integers(24, size=(100, 2)).tolist():
            change, before = state.delta(first, second), state.objective
            state.apply(first, second)
            assert state.objective == pytest.approx(before + change, abs=1e-12)
            assert state.objective == pytest.approx(even_par(state.table, loads(seed, 12)), abs=1e-12)


@pytest.mark.parametrize(("experts", "devices", "slots"), SIZES)
def test_branch_and_bound_is_brute_force_over_replicas_and_devices(experts: int, devices: int, slots: int) -> None:
    for seed in range(2):
        load = loads(seed, experts)
        if (experts, devices, slots) == (8, 4, 2):
            # Eight single experts: three fewer devices' worth of orders than all tables.
            pairs = (np.array(order).reshape(4, 2) for order in permutations(range(1, 8)) for order in [(0, *order)])
            expected = min(float(load[table].sum(axis=1).max()) for table in pairs)
        else:
            value = lambda table, load=load: float(even_loads(table, load).max())  # noqa: E731
            expected = least(experts, devices, slots, value, empty=True).objective
        found = least_load(load, devices, slots)
        assert found.proven and found.objective == pytest.approx(expected, rel=1e-9)
        assert even_loads(found.table, load).max() == pytest.approx(found.objective)
        assert set(found.table[found.table >= 0]) == set(range(experts))


def test_a_budget_of_nodes_leaves_a_true_bound_and_never_a_worse_table_than_the_start() -> None:
    for seed in range(6):
        load, start = loads(seed, 7) + 1, random_table(seed, 7, 3, 3)
        optimum = least_load(load, 3, 3)
        assert optimum.proven
        for nodes, gap in ((1, 0.0), (5, 0.0), (30, 0.0), (10**6, 0.05)):
            found = least_load(load, 3, 3, start, nodes, gap=gap)
            assert found.bound <= optimum.objective * (1 + 1e-9) and found.work <= nodes
            assert optimum.objective * (1 - 1e-9) <= found.objective <= even_loads(start, load).max()
            assert not gap or found.gap <= gap / (1 - gap)
            alone = least_load(load, 3, 3, nodes=nodes)
            assert set(range(7)) <= set(alone.table.ravel()) and alone.bound <= optimum.objective * (1 + 1e-9)


def test_a_gap_is_a_part_of_the_bound() -> None:
    assert [gap_to(12.0, 10.0), gap_to(0.0, 0.0), gap_to(1.0, 0.0)] == [pytest.approx(0.2), 0.0, np.inf]
    assert not Outcome(np.zeros((1, 1), int), 12.0, 10.0, 1).proven


def test_a_row_keeps_its_replicas_and_their_parts_and_gets_the_least_load_for_them() -> None:
    # Expert 0 has one replica in each row, so that 6 of its 12 tokens are served in row 0.
    table, load = np.array([[1, 2], [0, 3], [0, 4], [4, 4]]), np.array([12, 5, 4, 1, 3])
    solved = solved_row(table, load, Torus(2, 2), 0, least_load)
    assert (solved.before, solved.after, solved.bound) == pytest.approx((9 / 6.25, 9 / 6.25, 9 / 6.25))
    table = np.array([[1, 0], [2, 3], [0, 4], [4, 4]])
    solved = solved_row(table, load, Torus(2, 2), 0, least_load)
    assert (solved.before, solved.after, solved.bound) == pytest.approx((11 / 6.25, 9 / 6.25, 9 / 6.25))
    assert sorted(map(sorted, solved.table.tolist())) == [[0, 3], [1, 2]]


def nearest_hops(table: np.ndarray, demand: np.ndarray, torus: Torus) -> float:
    """Every choice goes to the nearest replica: what flows without a cap do."""
    total = 0.0
    for expert, row in product(range(len(demand)), range(torus.rows)):
        rows = np.flatnonzero((table == expert).any(axis=1)) // torus.cols
        total += demand[expert, row] * torus.hops[row, rows].min()
    return total / demand.sum()


@pytest.mark.parametrize(("experts", "torus", "slots"), [(4, Torus(3, 1), 2), (5, Torus(2, 1), 3), (3, Torus(4, 1), 1)])
def test_the_topology_program_without_a_cap_is_brute_force(experts: int, torus: Torus, slots: int) -> None:
    for seed in range(2):
        demand = np.random.default_rng(seed).integers(0, 50, (experts, torus.rows))
        expected = least(experts, torus.devices, slots, lambda table, d=demand: nearest_hops(table, d, torus))
        found = least_hops(demand, torus, slots, cap=99.0)
        assert found.proven and found.objective == pytest.approx(expected.objective, abs=1e-9)
        assert nearest_hops(found.table, demand, torus) == pytest.approx(found.objective, abs=1e-9)


def test_eight_experts_on_four_devices_reach_the_optimum_of_all_orders() -> None:
    torus, demand = Torus(4, 1), np.random.default_rng(0).integers(0, 50, (8, 4))
    # Without a cap an expert's row alone counts: all ways to give every row two experts.
    cost = demand @ torus.hops
    rows = {order for order in product(range(4), repeat=8) if np.bincount(order, minlength=4).max() == 2}
    expected = min(cost[np.arange(8), list(order)].sum() for order in rows) / demand.sum()
    assert least_hops(demand, torus, 2, cap=99.0).objective == pytest.approx(expected, abs=1e-9)


def test_the_topology_program_under_a_cap_is_brute_force_over_tables() -> None:
    torus, demand = Torus(2, 1), np.random.default_rng(3).integers(5, 50, (4, 2))
    values = [hops_of(table, demand, torus, 1.02) for table in tables(4, 2, 3)]
    found = least_hops(demand, torus, 3, 1.02)
    assert found.objective == pytest.approx(min(values), abs=1e-9) and found.gap <= 1e-6
    assert found.objective > least_hops(demand, torus, 3, 99.0).objective + 1e-6
    single = least_hops(demand, torus, 3, 99.0, copies=1)
    assert np.bincount(single.table[single.table >= 0]).max() == 1
    # Someone has to serve at least the mean.
    with pytest.raises(
        Problem, match=r"no table meets the cap on device loads\. Got: none\. Expected: a table with no"
    ):
        least_hops(demand, torus, 3, 0.9)


def test_flows_under_a_cap_by_hand() -> None:
    # Expert 0 on both devices, all 10 choices from row 0: at most 6 are served there.
    table, demand = np.array([[0], [0]]), np.array([[10, 0]])
    assert hops_of(table, demand, Torus(2, 1), 1.2) == pytest.approx(0.4)
    assert hops_of(table[:1].repeat(2, axis=0), demand, Torus(2, 1)) == pytest.approx(0.0)
    assert hops_of(np.array([[0], [-1]]), demand, Torus(2, 1), 1.2) == np.inf


def test_the_topology_program_is_never_worse_than_its_start() -> None:
    torus, demand = Torus(2, 2), np.random.default_rng(1).integers(0, 50, (6, 2))
    start = random_table(0, 6, 4, 2)
    found = least_hops(demand, torus, 2, 99.0, start=start, seconds=1e-9)
    assert found.bound <= found.objective <= hops_of(start, demand, torus)


def test_a_subset_keeps_the_loads_and_origins_of_its_experts() -> None:
    batches = random_batches(0)
    few = subset(batches, 4)
    hottest = np.sort(np.argsort(-batches.load.sum(axis=0), kind="stable")[:4])
    assert np.array_equal(few.load, batches.load[:, hottest])
    assert np.array_equal(demand_of(few, 4), demand_of(batches, 4)[hottest]) and few.choices.shape[1] == 1
    assert as_one(few).load.tolist() == [few.load.sum(axis=0).tolist()]
    assert subset(batches, 12, DRAWN, 5).load.tolist() == batches.load.tolist()
    assert subset(batches, 3, among=3).load.tolist() == batches.load[:, :3].tolist()
    with pytest.raises(Problem, match=r"the subset has no such number of experts\. Got: 13 experts\. Expected: 1 to"):
        subset(batches, 13)


def test_search_on_even_loads_reaches_the_optimum_of_nearly_every_tiny_case() -> None:
    reached = 0
    for seed in range(10):
        load, start = loads(seed, 6) + 1, random_table(seed, 6, 3, 3)
        table = searched(start, load, 10_000, seed)
        assert even_par(table, load) <= even_par(start, load)
        assert seed or np.array_equal(table, searched(start, load, 10_000, seed))
        reached += even_loads(table, load).max() <= least_load(load, 3, 3).objective * (1 + 1e-9)
    print(f"reached the optimum: {reached} of 10")
    assert reached >= 9


def test_rows_of_the_ladder_are_ordered_and_the_oracle_has_no_gap_to_itself() -> None:
    whole = bursty(Sample(600, 32, 4, seed=1)).batches(0, 100, 4, 0)
    _, frame, _ = oracle_rows({("a", 3): whole, ("a", 4): whole, ("b", 0): random_batches(1, experts=6)})
    assert frame[["data_set", "layer"]].drop_duplicates().values.tolist() == [["a", 3], ["b", 0]]
    assert frame["setting"].unique().tolist() == [
        *("12 hottest experts in 12 slots", "12 hottest experts in 16 slots", "6 hottest experts in 16 slots")
    ]
    for _, group in frame.groupby(["data_set", "setting"]):
        assert group["row"].tolist() == ["baseline", "nearline", "offline", "oracle"]
        assert (group["PAR"].diff().dropna() <= 1e-9).all() and group[OPTIMUM].iloc[-1] == 0
        assert (group[BOUND] >= group[OPTIMUM] - 1e-9).all()
    told = re.fullmatch(
        r"On layer 3's 12 hottest experts in 16 slots, in sample and for even PAR alone, quick plans lie at most "
        r"(\S+) % above the least possible, a search (\S+) %, the best table found (\S+) % \(`oracle` shows them\)\.",
        gap_sentence(whole.with_shared(), 3, True),
    )
    # Fewer nodes prove less.
    shown = [float(number) for number in told.groups()]
    assert shown == sorted(shown, reverse=True) and shown[0] >= round(frame[BOUND].iloc[5], 2)


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("oracle") / "trace"
    save_trace(path, bursty(Sample(600, 16, 4, layers=2, seed=1)))
    return str(path)


@pytest.mark.parametrize(
    ("words", "last"),
    [
        (["--nodes", "20000"], "oracle"),
        (["--objective", "hops", "--experts", "6", "--load-cap", "1.5"], "oracle: HiGHS"),
        (["--objective", "latency", "--experts", "4", "--grid", "2x1", "--slots", "2"], "oracle: all 6 tables"),
    ],
)
def test_the_command_prints_the_oracle_last_and_nothing_below_it(
    trace: str, words: list[str], last: str, tmp_path: object, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["oracle", trace, *words, "--layer", "1", "--output", str(tmp_path / "out.csv")]) == 0
    assert capsys.readouterr().out.startswith("## Oracle of layer 1: the ")
    frame = pd.read_csv(tmp_path / "out.csv")
    value = next(name for name in ("PAR", "hops", "us") if name in frame)
    assert frame[value].iloc[-1] <= frame[value].min() + 1e-9 and last in frame.iloc[-1].values


def test_hops_leave_out_an_even_split_with_more_replicas_than_allowed(
    trace: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["oracle", trace, "--objective", "hops", "--experts", "6", "--load-cap", "4"]
    assert main([*words, "--copies", "1"]) == 0
    single = capsys.readouterr().out
    assert "even split" not in single and "| oracle: HiGHS |" in single
    assert main([*words, "--copies", "16"]) == 0
    assert "| even split, heaviest first |" in capsys.readouterr().out


def test_the_command_solves_a_plan_row_by_row(trace: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["oracle", trace, "--objective", "rows", "--grid", "2x4", "--solver", "branch", "--nodes", "20000"]) == 0
    )
    out = capsys.readouterr().out
    assert "all experts, 2 x 4 devices of 3 slots" in out and out.count("| 12 |") == 2


def test_the_command_refuses_other_layers_and_too_few_slots(trace: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["oracle", trace, "--layer", "7"]) == 1 and main(["oracle", trace, "--slots", "1"]) == 1
    assert capsys.readouterr().out == (
        "oracle: --layer is not in the trace. Got: 7. Expected: one of 0, 1. Next: correct --layer.\n"
        "oracle: the slots do not hold every expert. Got: 4 slots. Expected: 12 or more, one for each expert. Next: "
        "correct --slots, --grid or --experts.\n"
    )


def test_cp_sat_says_what_is_missing_and_what_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ortools.sat.python", None)
    with pytest.raises(Problem) as refused:
        least_load_cp(loads(0, 4), 2, 2)
    assert str(refused.value) == (
        "CP-SAT needs ortools. Got: it is not installed. Expected: the extra `lab`. Next: in the top folder, "
        ".venv/bin/python -m pip install ortools -r requirements.txt; or take the solver `branch`, which needs no "
        "package."
    )
    with pytest.raises(Problem) as refused:
        least_load_cp(loads(0, 12), 16, 2)
    assert str(refused.value) == (
        "the piece is too large for CP-SAT. Got: 16 devices of 2 slots. Expected: up to 8 devices or 24 replicas. "
        "Next: solve it row by row, or a smaller grid."
    )


def test_cp_sat_is_branch_and_bound() -> None:
    pytest.importorskip("ortools")
    for seed, (experts, devices, slots) in enumerate(SIZES):
        load, start = loads(seed, experts), random_table(seed, experts, devices, slots)
        found, other = least_load_cp(load, devices, slots, start), least_load(load, devices, slots)
        assert found.proven and found.objective == pytest.approx(other.objective, rel=1e-9)
        counts = np.bincount(start.ravel(), minlength=experts)
        found = least_load_cp(load, devices, slots, start, counts=counts)
        other = least_load(load, devices, slots, start, counts=counts)
        assert found.objective == pytest.approx(other.objective, rel=1e-9)
        assert np.array_equal(np.bincount(found.table[found.table >= 0], minlength=experts), counts)
        assert np.array_equal(np.bincount(other.table[other.table >= 0], minlength=experts), counts)
