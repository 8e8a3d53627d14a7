"""The greedy score, its fit to solved cases, and the gap table."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lab.commands import distil
from lab.commands.main import main
from lab.oracle.brute_force import tables
from lab.oracle.cases import EXPERTS, SLOTS, TORUS, Case, mean_latency, random_case, solved
from lab.oracle.distillation import ONE_EACH, fitted, gaps
from lab.oracle.greedy import Weights, greedy_table
from lab.serving.torus import Torus
from lab.traces.batches import stacked
from lab.traces.generators import Sample, bursty
from lab.traces.trace_file import save_trace
from lab_cases import random_batches
from planning.packing import heaviest_first


def test_without_weights_the_greedy_score_is_heaviest_first() -> None:
    for seed in range(20):
        batches = random_batches(seed, sizes=(40, 40))
        counts = 1 + np.bincount(np.random.default_rng(seed).integers(12, size=8), minlength=12)
        ids = np.repeat(np.arange(12), counts)
        part = batches.load.mean(axis=0) / counts
        expected = heaviest_first(ids, part[ids], np.full((8, 3), -1), np.zeros(8))
        assert np.array_equal(greedy_table(batches, counts, Torus(4, 2), 3), expected)
    with pytest.raises(ValueError, match="13 replicas do not fit into 12 slots"):
        greedy_table(batches, np.append(np.ones(11, int), 2), Torus(2, 2), 3)


def test_each_weight_moves_an_expert_by_hand() -> None:
    # Experts 0 and 1 are chosen together, then 2 and 3; expert 0 comes from row 1, all others from row 0.
    choices = np.array([[[0, 1]] * 6 + [[2, 3]] * 4 + [[0, 2]] * 2])
    origins = np.array([[1] * 6 + [0] * 4 + [1] * 2])
    batches, torus = stacked(choices, origins, 4), Torus(2, 1)
    ones = np.ones(4, int)

    def held(weights: Weights) -> list[list[int]]:
        return sorted(sorted(row) for row in greedy_table(batches, ones, torus, 2, weights).tolist())

    assert held(Weights()) == [[0, 3], [1, 2]]
    assert held(Weights(affinity=-2.0)) == [[0, 1], [2, 3]]
    # Far from its tokens costs a hop each: expert 0 goes to row 1.
    assert 0 in greedy_table(batches, ones, torus, 2, Weights(distance=1.0))[1]
    # Experts 1 and 2 peak in different batches, so that they go well together.
    bursts = np.array([[[0]] * 4 + [[1]] * 3 + [[3]], [[0]] * 4 + [[2]] * 3 + [[3]]])
    batches = stacked(bursts, np.zeros((2, 8), int), 4)
    assert held(Weights(burst=1.0)) == [[0, 3], [1, 2]]


@pytest.fixture(scope="module")
def case() -> Case:
    """One case, solved."""
    return solved(7)


def test_brute_force_over_mirror_images_is_brute_force_over_all_tables(case: Case) -> None:
    every = [mean_latency(case.batches, table) for table in tables(EXPERTS, TORUS.devices, SLOTS)]
    assert len(every) == 2520 and min(every) == pytest.approx(case.optimum, abs=1e-9)


def test_the_fit_is_never_worse_than_plain_greedy_where_it_was_fitted_and_a_seed_decides_it() -> None:
    # Any number below the optimum serves as well for comparing gaps.
    cases = [Case(random_case(seed), 100.0, 1.0) for seed in range(4)]
    weights = fitted(cases, seed=1, draws=20)
    assert weights == fitted(cases, seed=1, draws=20) != Weights()
    assert gaps(cases, weights).gap.mean() < gaps(cases, Weights()).gap.mean()
    assert fitted(cases, draws=0) == Weights()


def test_a_gap_is_the_latency_above_the_optimum(case: Case) -> None:
    value = mean_latency(case.batches, greedy_table(case.batches, ONE_EACH, TORUS, SLOTS))
    found = gaps([case], Weights())
    assert found.gap.tolist() == [pytest.approx(value / case.optimum - 1)] and found.gap[0] >= 0


def test_distil_writes_gaps_of_unseen_cases_and_tries_the_weights_on_a_trace(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []
    monkeypatch.setattr(distil, "solved", lambda seed: asked.append(seed) or case)
    save_trace(tmp_path / "trace", bursty(Sample(600, 16, 4, layers=2, seed=1)))
    words = ["--cases", "2", "--unseen", "2", "--draws", "3", "--seed", "1", "--batch", "100"]
    assert main(["distil", str(tmp_path / "trace"), *words, "--output", str(tmp_path / "out")]) == 0
    assert asked == [20000, 20002, 20001, 20003]
    frame = pd.read_csv(tmp_path / "out" / "gaps.csv")
    assert frame["cases"].tolist() == ["fitted to"] * 2 + ["unseen"] * 2 and (frame["number"] == 2).all()
    assert set(json.loads((tmp_path / "out" / "weights.json").read_text())) == {"burst", "affinity", "distance"}
    out = capsys.readouterr().out
    assert "## trace, mean of 2 layers, planned from the first half, measured on the second" in out
    plain, distilled = frame["mean gap %"].iloc[2:]
    verb = "shrink" if distilled < plain else "do not shrink"
    assert f"The distilled weights {verb} the mean gap on unseen cases: {plain:.2f} % by load, {distilled:.2f} %" in out
    assert main(["distil", str(tmp_path / "trace"), *words, "--slots", "1", "--output", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().out.endswith(
        "the trace does not fit. Got: 8 slots, 600 tokens. Expected: 16 slots and two batches of 100 or more. Next: "
        "correct --grid, --slots or --batch.\n"
    )
