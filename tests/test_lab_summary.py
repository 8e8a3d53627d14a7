"""What `plan`, `simulate` and `search` print of tables, routers and moves, against numbers worked out by hand."""

from __future__ import annotations

import re
from itertools import product

import numpy as np
import pytest

from lab.experiments.router_table import router_rows
from lab.experiments.rows_together import rows_together
from lab.planning.summary import figures, least_largest
from lab.search.check import checked
from lab.serving.cost import COMPAT
from lab.serving.replicas import replicas_of
from lab.serving.routing import first_copy, least_loaded, round_robin
from lab.serving.torus import Torus
from lab.traces.generators import Sample, clustered
from lab_cases import random_batches, random_table


def test_the_least_possible_load_of_a_replica_is_that_of_all_ways_to_replicate() -> None:
    rng = np.random.default_rng(0)
    for _ in range(40):
        load, slots = rng.integers(0, 30, 3), int(rng.integers(3, 8))
        ways = [way for way in product(range(1, slots - 1), repeat=3) if sum(way) <= slots]
        assert least_largest(load, slots) == min(max(load / way) for way in ways)


def test_figures_of_a_table_are_those_worked_out_by_hand() -> None:
    # Rows 0 and 1 of two devices each; expert 3 is the shared one, slot -1 is empty. Expert 0 has three replicas for
    # two rows, expert 1 two in distinct rows, expert 2 two in one row.
    table = np.array([[0, 3, 1], [0, 2, 2], [0, 1, -1], [3, -1, -1]])
    load = np.array([[6.0, 4.0, 2.0, 4.0], [6.0, 0.0, 2.0, 4.0]])
    found = figures(table, load, Torus(2, 2), 3)
    # The mean batch: 6, 2, 2, 4; a replica of each carries 2, 1, 1, 2; the devices 5, 4, 3, 2.
    assert found == {
        "more": 4,
        "shared": 2,
        "empty": 3,
        "most": 3,
        "replica": 2,
        "least_replica": 2,
        "device": 5,
        "least_device": 3.5,
        "par": pytest.approx(5 / 3.5),
        # The devices of the batches: 6, 4, 4, 2 and 4, 4, 2, 2.
        "batch_par": pytest.approx((6 / 4 + 4 / 3) / 2),
        "apart": 0.5,
        "shared_rows": 2,
        "shared_column": 1,
    }
    assert np.isnan(figures(np.array([[0], [1]]), np.ones((1, 2)), Torus(2, 1), 2)["apart"])


def test_routers_are_compared_by_what_they_serve_and_with_round_robin() -> None:
    batches, replicas = random_batches(1), replicas_of(random_table(1), 12)
    routers = {"first": first_copy, "turns": round_robin, "least": lambda b, r: least_loaded(b, r, block=1)}
    first, turns, least = router_rows(batches, replicas, routers, Torus(4, 2), COMPAT)
    assert {row["served"] for row in (first, turns, least)} == {1.0}
    assert turns["apart"] <= 1 < first["apart"] == max(batches.load[:, np.flatnonzero(replicas.count > 1)].max(axis=0))
    assert (turns["tokens_ok"], least["tokens_ok"]) == (1, 1) and first["tokens_ok"] < 1
    routers["wrong"] = lambda b, _: np.zeros(b.choices.shape, int)
    assert router_rows(batches, replicas, routers, Torus(4, 2), COMPAT)[3]["served"] < 1


def test_affinity_cuts_less_than_loads_alone_and_chance_and_keeps_to_its_limit() -> None:
    batches = clustered(Sample(2048, 64, 4, seed=3), clusters=8).batches(0, 256, 8, 0)
    frame = rows_together(batches, Torus(8, 4), 3).set_index("plan")
    assert frame["cut_share"].idxmin() == "affinity" and frame.loc["affinity", "largest_load"] <= 1.05
    assert frame.loc["affinity", "rows_per_token"] <= 0.8 * frame.loc["loads alone", "rows_per_token"]


def test_a_search_checks_its_moves() -> None:
    batches, replicas = random_batches(2, sizes=(300, 280)), replicas_of(random_table(2), 12)
    told = checked(batches, replicas, round_robin, Torus(4, 2), COMPAT, 20, 0)
    assert told[0].endswith("the swaps taken back give the first table: yes")
    assert all(float(number) < 1e-9 for number in re.findall(r"(\S+) us", told[0]))
    assert told[1].startswith("rank correlation of the surrogate with the whole latency over 50 tables: 0.")
