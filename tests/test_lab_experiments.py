"""The matrix of methods, plans across data sets and hedges."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lab.experiments.hedging import alpha_sweep
from lab.experiments.matrix import matrix
from lab.experiments.methods import Setting
from lab.serving.routing import row_blocks
from lab.serving.torus import Torus
from lab.traces.generators import Sample, bursty, zipf

TORUS = Torus(4, 4)
TIMES = ["plan_seconds", "route_ms"]


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """The matrix of two data sets."""
    batches = {(kind.__name__, 0): kind(Sample(1000, 32, 4, seed=1)).batches(0, 100, 4, 0) for kind in (zipf, bursty)}
    return matrix(batches, Setting(TORUS, 3, True, swaps=500))


def test_rows_are_ordered_offline_nearline_baseline(frame: pd.DataFrame) -> None:
    groups = frame.groupby(["data_set", "layer", "setting"])
    assert len(groups) == 4
    for _, group in groups:
        mean = group.groupby("row")["mean"].min()
        assert mean["offline"] <= mean["nearline"] <= mean["baseline"]


def test_a_grid_without_room_for_replicas_is_compared_on_placement_alone() -> None:
    batches = {("zipf", 0): zipf(Sample(tokens=400, experts=32, k=4, seed=1)).batches(0, 100, 4, 0)}
    frame = matrix(batches, Setting(Torus(4, 1), 3, True, swaps=100))
    assert frame[["setting", "row"]].values.tolist() == [
        ["32 slots", "baseline"],
        ["32 slots", "nearline"],
        ["32 slots", "offline"],
    ]


def test_every_row_has_the_metrics_and_the_class_of_its_run(frame: pd.DataFrame) -> None:
    names = {"p50", "p95", "p99", "mean", "par", "max_device_tokens", "row_imbalance", "cross_node_share", "mean_hop"}
    assert names <= set(frame.columns) and np.isfinite(frame.select_dtypes("number")).all(axis=None)
    assert set(frame["run"]) == {"nearline", "offline"}
    assert (frame[TIMES] >= 0).all(axis=None)


def test_the_same_seed_gives_the_same_matrix_but_for_the_times_with_any_number_of_jobs() -> None:
    one = zipf(Sample(tokens=400, experts=32, k=4, seed=1)).batches(0, 100, 4, 0)
    batches, setting = {("zipf", 0): one, ("zipf", 1): one}, Setting(TORUS, 3, True, swaps=100)
    first, second = (matrix(batches, setting, jobs=jobs).drop(columns=TIMES) for jobs in (1, 2))
    pd.testing.assert_frame_equal(first, second)


def test_held_out_plans_never_see_the_batches_that_they_are_measured_on() -> None:
    batches = zipf(Sample(tokens=800, experts=32, k=4, seed=2)).batches(0, 100, 4, 0)
    other = zipf(Sample(tokens=400, experts=32, k=4, seed=3)).batches(0, 100, 4, 0)
    tail = batches.select(4, 8)
    head_of_other = type(batches)(
        32, np.vstack([batches.select(0, 4).choices, other.choices]), batches.origins, batches.starts
    )
    kept = matrix({("a", 0): batches}, Setting(TORUS, 3, True, swaps=100), held_out=True)
    swapped = matrix({("a", 0): head_of_other}, Setting(TORUS, 3, True, swaps=100), held_out=True)
    assert tail.count == 4 and kept["row"].tolist() == swapped["row"].tolist()
    assert kept["mean"].tolist() != swapped["mean"].tolist()


def test_no_hedge_is_the_mean() -> None:
    batches = bursty(Sample(tokens=1200, experts=32, k=4, seed=4)).batches(0, 60, 4, None)
    sweep = alpha_sweep(batches, TORUS, row_blocks)
    assert sweep["hedge"].tolist() == ["mean + 0 std", "mean + 0.5 std", "mean + 1 std", "mean + 2 std", "p95"]
    assert np.isfinite(sweep[["mean", "p95", "p99"]]).all(axis=None)
