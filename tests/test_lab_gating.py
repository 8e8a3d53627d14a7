"""Gates against slow, obvious loops, small cases worked out by hand, and what each promises."""

from __future__ import annotations

import builtins
from itertools import permutations, product

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from lab.gating.assignment import base, expert_choice
from lab.gating.bias import affinities, biased, moved
from lab.gating.capacity import capacity, dropped, rerouted
from lab.gating.catalogue import CAPACITIES, KINDS, meets, methods
from lab.gating.padding import block_padding, buffers
from lab.gating.selection import auxiliary_loss, limited, top_k
from lab.serving.cost import COMPAT, FUNCTIONAL, MEASURED
from lab.traces.generators import Sample, uniform, zipf
from placement.errors import Problem


def scores_of(seed: int, tokens: int = 40, experts: int = 12) -> np.ndarray:
    return zipf(Sample(tokens, experts, 1, seed=seed, scores=True)).scores[0]


def load_of(choices: np.ndarray, experts: int = 12) -> np.ndarray:
    return np.bincount(choices[choices >= 0], minlength=experts)


def peak(load: np.ndarray) -> float:
    return load.max() / load.mean()


def total(scores: np.ndarray, choices: np.ndarray) -> float:
    return float(np.where(choices >= 0, np.take_along_axis(scores, np.maximum(choices, 0), 1), 0).sum())


@pytest.mark.parametrize("kind", KINDS)
def test_no_gate_gives_a_token_an_expert_twice_or_one_that_is_not_there(kind: str) -> None:
    for method in methods(12, [kind], groups=4, kept=(2, 4)):
        for seed in range(5):
            scores = scores_of(seed)
            choices = method.start()(scores, top_k(scores, 3))
            for chosen in choices.tolist():
                present = [expert for expert in chosen if expert >= 0]
                assert len(set(present)) == len(present) and all(0 <= expert < 12 for expert in present)


def test_the_bias_halves_the_peak_of_a_lasting_skew_and_leaves_even_scores_even() -> None:
    # 512 tokens a batch of 64 experts: with the published 256 of 256 chance alone is above 1.5.
    peaks = {}
    for made in (zipf, uniform):
        scores = made(Sample(200 * 512, 64, scores=True)).scores[0].reshape(200, 512, 64)
        gate = methods(64, ["bias"])[0].start()
        peaks[made] = [peak(load_of(gate(batch, np.empty((512, 8))), 64)) for batch in scores]
    assert peaks[zipf][0] > 4 and np.mean(peaks[zipf][-10:]) < min(1.5, peaks[zipf][0] / 2)
    assert np.mean(peaks[uniform][-50:]) < np.mean(peaks[uniform][:50]) + 0.05 < 1.4


def test_the_bias_moves_by_a_step_to_the_mean_and_a_step_of_0_is_plain_top_k() -> None:
    assert moved(np.zeros(3), np.array([5, 3, 1]), 0.01).tolist() == [-0.01, 0, 0.01]
    gate = methods(12, ["bias"], step=0)[0].start()
    for seed in range(5):
        scores = scores_of(seed)
        assert (gate(scores, np.empty((40, 3))) == top_k(scores, 3)).all()
    # Expert 1 is behind by 2/3 - 3/5 as sigmoids.
    scores = np.array([[0.5, 0.375, 0.125]])
    assert affinities(scores)[0].tolist() == pytest.approx([1.5 / 2.5, 1.125 / 2.125, 0.375 / 1.375])
    assert [biased(scores, 1, np.array([0, 0.01 * n, 0]))[0, 0] for n in (7, 8)] == [0, 1]
    # As bfloat16 a softmax adds up to 1 less exactly.
    assert affinities(scores * (1 + 2**-8))[0].max() < 0.61
    sigmoids = np.array([[0.9, 0.8, 0.1]])
    assert (affinities(sigmoids) == sigmoids).all()


def test_limited_routing_keeps_the_groups_of_the_best_two_or_the_best_one() -> None:
    scores = np.array([[0.40, 0.01, 0.25, 0.24, 0.05, 0.05]])
    assert limited(scores, 2, 3, 1).tolist() == [[2, 3]]
    assert limited(scores, 2, 3, 1, best=1).tolist() == [[0, 1]]
    assert limited(scores, 2, 3, 2).tolist() == [[0, 2]]


def test_limited_routing_is_that_of_a_loop_touches_no_more_groups_and_all_groups_are_plain_top_k() -> None:
    for seed, best in product(range(10), (1, 2)):
        scores, kept_score = scores_of(seed), []
        for kept in (1, 2, 3, 4):
            choices = limited(scores, 3, 4, kept, best)
            for token, chosen in enumerate(choices.tolist()):
                grouped = scores[token].reshape(4, 3)
                rank = [-np.sort(group)[::-1][:best].sum() for group in grouped]
                allowed = np.argsort(rank, kind="stable")[:kept]
                within = [expert for expert in range(12) if expert // 3 in allowed]
                assert chosen == sorted(within, key=lambda expert: -scores[token, expert])[:3]
                assert len({expert // 3 for expert in chosen}) <= kept
            kept_score.append(total(scores, choices))
        assert kept_score == sorted(kept_score) and (choices == top_k(scores, 3)).all()
    with pytest.raises(ValueError, match="1 of 6 groups of 12 experts, scored by 2, for 3 choices; expected groups"):
        limited(scores, 3, 6, 1)


@pytest.mark.parametrize(
    ("factor", "tokens", "expected"), [(1, 256, 8), (1.25, 256, 10), (1.1, 320, 11), (1, 1, 1), (9e9, 7, 7)]
)
def test_a_capacity_is_rounded_up_and_at_least_1(factor: float, tokens: int, expected: int) -> None:
    assert capacity(factor, tokens, 8, 256) == expected
    assert capacity(float("inf"), tokens, 8, 256) == tokens
    with pytest.raises(ValueError, match="a capacity factor of 0; expected more than 0, or inf"):
        capacity(0, tokens, 8, 256)


def test_above_the_capacity_second_choices_go_first_and_nothing_else() -> None:
    choices = np.array([[0, 1], [2, 0], [0, 1], [1, 0]])
    assert dropped(choices, 2).tolist() == [[0, 1], [2, -1], [0, -1], [1, -1]]
    gaps = np.array([[0, -1], [-1, 0], [2, -1]])
    assert dropped(gaps, 1).tolist() == [[0, -1], [-1, -1], [2, -1]]


def test_dropping_is_that_of_a_loop_and_ends_where_the_capacity_is_the_peak() -> None:
    for seed in range(10):
        scores = scores_of(seed)
        choices, shares = top_k(scores, 3), []
        for factor in (*CAPACITIES[:-1], peak(load_of(choices))):
            room = capacity(factor, 40, 3, 12)
            kept, taken, expected = dropped(choices, room), np.zeros(12, int), np.full(choices.shape, -1)
            for rank, token in product(range(3), range(40)):
                if taken[choices[token, rank]] < room:
                    expected[token, rank] = choices[token, rank]
                    taken[choices[token, rank]] += 1
            assert (kept == expected).all() and load_of(kept).max() <= room
            assert load_of(kept).sum() + (kept < 0).sum() == 120
            shares.append((kept < 0).mean())
        assert shares == sorted(shares, reverse=True) and shares[-1] == 0 < shares[0]


def test_rerouting_is_one_turn_after_another_and_drops_only_where_nothing_is_left() -> None:
    for seed in range(30):
        scores, k = scores_of(seed), 1 + seed % 4
        # Rooms for fewer choices than there are, for exactly as many, and for more.
        for room in (k * 2, -(-40 * k // 12), k * 5, 40):
            got, free, expected = rerouted(scores, k, room), np.full(12, room), np.full((40, k), -1)
            for rank, token in product(range(k), range(40)):
                open_ones = [expert for expert in range(12) if free[expert] and expert not in expected[token]]
                if open_ones:
                    expected[token, rank] = max(open_ones, key=lambda expert: scores[token, expert])
                    free[expected[token, rank]] -= 1
            assert (got == expected).all()
        assert (got == top_k(scores, k)).all()


def test_base_is_the_best_of_all_balanced_assignments() -> None:
    rng = np.random.default_rng(0)
    pairs = list(permutations(range(3), 2))
    for tokens in (3, 4):
        scores = rng.random((tokens, 3))
        balanced = [
            np.array(chosen) for chosen in product(pairs, repeat=tokens) if np.ptp(load_of(np.array(chosen), 3)) <= 1
        ]
        best = max(total(scores, chosen) for chosen in balanced)
        found = base(scores, 2)
        assert total(scores, found) == pytest.approx(best) and np.ptp(load_of(found, 3)) <= 1
        for scale in (1e-9, 1e30):
            assert (base((scale * scores).astype(np.float32), 2) == found).all()
    assert np.ptp(load_of(base(np.zeros((4, 3), np.float32), 2), 3)) == 1
    for seed in range(3):
        scores = scores_of(seed, 36)
        rows, columns = linear_sum_assignment(np.repeat(scores, 3, axis=1), maximize=True)
        assert total(scores, base(scores, 1)) == pytest.approx(scores[rows, columns // 3].sum())
        found = base(scores, 3)
        assert load_of(found).tolist() == [9] * 12 and total(scores, found) >= total(scores, rerouted(scores, 3, 9))


def test_base_without_scipy_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *arguments: object) -> object:
        if name.startswith("scipy"):
            raise ImportError("No module named 'scipy'")
        return real(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(Problem, match="BASE needs scipy") as refused:
        base(scores_of(0), 2)
    assert str(refused.value) == (
        "BASE needs scipy. Got: No module named 'scipy'. Expected: scipy, which solves the assignment. Next: in the "
        "top folder, .venv/bin/python -m pip install -r requirements.txt."
    )


def test_every_expert_chooses_its_best_tokens_and_as_many_as_the_others() -> None:
    assert expert_choice(np.array([[0.9, 0.1], [0.8, 0.7], [0.2, 0.6], [0.1, 0.3]]), 1).tolist() == [
        *([0, -1], [0, 1], [1, -1], [-1, -1])
    ]
    for seed in range(5):
        scores = scores_of(seed, 36)
        choices = expert_choice(scores, 3)
        assert load_of(choices).tolist() == [9] * 12
        for expert in range(12):
            best = np.argsort(-scores[:, expert], kind="stable")[:9]
            assert sorted(np.nonzero(choices == expert)[0].tolist()) == sorted(best.tolist())


def test_the_auxiliary_loss_is_1_for_even_scores_and_more_where_loads_follow_skewed_ones() -> None:
    even = np.full((4, 4), 0.25)
    assert auxiliary_loss(even, np.array([[0], [0], [0], [0]])) == 1
    assert auxiliary_loss(np.array([[0, 0], [1, 3]]), np.array([[0], [1]])) == 2 * (1 / 16 + 3 / 16)
    # f and P are both 1/2, 1/4, 1/8, 1/8.
    skewed = np.tile([0.5, 0.25, 0.125, 0.125], (8, 1))
    assert auxiliary_loss(skewed, np.array([[0]] * 4 + [[1]] * 2 + [[2], [3]])) == 4 * (1 / 4 + 1 / 16 + 1 / 32)
    assert auxiliary_loss(7 * skewed, np.array([[0]] * 4 + [[1]] * 2 + [[2], [3]])) == 4 * (1 / 4 + 1 / 16 + 1 / 32)


def test_blocks_pad_by_fewer_than_a_block_and_never_take_longer_than_buffers_that_drop_nothing() -> None:
    assert block_padding(np.array([0, 1, 31, 32, 33]), 32).tolist() == [0, 31, 1, 0, 31]
    assert buffers(np.array([[0, 40, 3, 9]]), np.array([9]), np.array([1, 1, 2, 2])).tolist() == [[9, 40, 5, 9]]
    tokens = np.random.default_rng(0).integers(0, 100, (20, 6))
    padded = buffers(tokens, tokens.max(axis=1), np.ones(6, int))
    for preset in (COMPAT, MEASURED, FUNCTIONAL):
        assert (preset.compute(tokens) <= preset.compute(padded)).all()


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [([0.009, 0.01], "online"), ([0.011, 1.9], "nearline"), ([0.011, 2.0], "offline"), ([0.009] * 900, "online")],
)
def test_the_class_is_that_of_a_batch_or_of_a_layer(seconds: list[float], expected: str) -> None:
    assert meets(np.array(seconds)) == expected
