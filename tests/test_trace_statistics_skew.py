"""Skew of layers: values computed by hand, and what must not depend on ids or units."""

from __future__ import annotations

import numpy as np
import pytest

from traces.statistics.skew import layer_skew, neighbour_correlation

RNG = np.random.default_rng(5)
LOADS = np.exp(0.6 * RNG.standard_normal((3, 256)))


def test_values_by_hand() -> None:
    found = layer_skew(np.array([[1, 2, 4, 8], [5, 5, 5, 5]]))
    assert found["max_over_mean"] == pytest.approx([8 / 3.75, 1])
    # Pairs differ by 1, 3, 7, 2, 6, 4: 2 * 23 / (2 * 16 * 3.75).
    assert found["gini"] == pytest.approx([23 / 60, 0])
    logs = np.log(2) * np.array([-1.5, -0.5, 0.5, 1.5])
    assert found["log_sigma"] == pytest.approx([np.sqrt((logs**2).mean()), 0])
    assert found["log_skewness"][0] == pytest.approx(0, abs=1e-12) and np.isnan(found["log_skewness"][1])
    ranks = np.log([1, 2, 3, 4])
    assert found["zipf_slope"] == pytest.approx([-np.polyfit(ranks, np.log([8, 4, 2, 1]), 1)[0], 0])


def test_a_power_law_has_its_exponent_and_a_hot_tail_positive_skewness() -> None:
    found = layer_skew(np.arange(1, 257)[None, ::-1] ** -0.7)
    assert found["zipf_slope"] == pytest.approx([0.7])
    assert found["log_skewness"][0] > 0.5


def test_only_the_64_hottest_decide_the_slope() -> None:
    falling = np.sort(LOADS)[:, ::-1]
    changed = np.where(np.arange(256) < 64, falling, falling[:, 63:64] / 7)
    assert layer_skew(changed)["zipf_slope"] == pytest.approx(layer_skew(falling)["zipf_slope"])


def test_neither_ids_nor_the_unit_matter() -> None:
    shuffled = 17 * LOADS[:, RNG.permutation(256)]
    for name, values in layer_skew(LOADS).items():
        assert layer_skew(shuffled)[name] == pytest.approx(values), name


def test_experts_without_load_are_left_out_of_the_logarithms() -> None:
    with_dead, without = np.array([[0, 1, 2, 4, 0]]), np.array([[1, 2, 4]])
    for name in ("zipf_slope", "log_sigma", "log_skewness"):
        assert layer_skew(with_dead)[name] == pytest.approx(layer_skew(without)[name]), name
    assert layer_skew(with_dead)["gini"] > layer_skew(without)["gini"]


@pytest.mark.parametrize("loads", [np.ones(4), np.zeros((2, 4)), np.array([[1, 2], [0, 0]])])
def test_loads_of_another_form_are_refused(loads: np.ndarray) -> None:
    with pytest.raises(ValueError, match="every layer"):
        layer_skew(loads)


def test_correlation_of_neighbours_by_hand() -> None:
    # Standardised: -1, -1, 1, 1.
    found = neighbour_correlation(np.array([[1, 1, 3, 3]]), (1, 2, 3, 4))
    assert found[0, :3] == pytest.approx([1 / 3, -1, -1]) and np.isnan(found[0, 3])


def test_a_layer_without_spread_has_no_correlation() -> None:
    assert np.isnan(neighbour_correlation(np.full((1, 4), 2.0), (1,))).all()


def test_blocks_of_neighbours_are_seen_and_relabelling_hides_them() -> None:
    blocks = np.exp(np.repeat(RNG.standard_normal((64, 32)), 8, axis=1))
    found = neighbour_correlation(blocks, (1, 4, 8)).mean(axis=0)
    assert found == pytest.approx([7 / 8, 1 / 2, 0], abs=0.05)
    shuffled = blocks[:, RNG.permutation(256)]
    assert neighbour_correlation(shuffled, (1, 4, 8)).mean(axis=0) == pytest.approx([0, 0, 0], abs=0.03)
