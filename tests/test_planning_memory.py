"""What a policy remembers of the loads, and the switch at which it forgets."""

from __future__ import annotations

import numpy as np
import pytest

from planning.memory import Memory, switch


def remembering(*windows: np.ndarray, blocks: int = 2) -> Memory:
    memory = Memory(*windows[0].shape[1:], blocks)
    for window in windows:
        memory.add(window)
    return memory


def drawn(shares: np.ndarray, iterations: int, seed: int, tokens: int = 4000) -> np.ndarray:
    """Counts [iteration, layer, expert] of tokens that choose by shares [layer, expert]."""
    rng = np.random.default_rng(seed)
    return np.stack([rng.multinomial(tokens, share, size=iterations) for share in shares], axis=1)


def test_a_window_is_remembered_in_blocks_of_shares() -> None:
    # The first iteration is odd and goes. Shares of expert 0: .5, .7 and .2, .4.
    window = np.array([[9, 1], [5, 5], [7, 3], [2, 8], [8, 12]])[:, None]
    memory = remembering(window)
    np.testing.assert_allclose(memory.means[:, 0], [[0.6, 0.4], [0.3, 0.7]], rtol=1e-6)
    np.testing.assert_allclose(memory.noise[:, 0], [[0.02, 0.02], [0.02, 0.02]], rtol=1e-5)
    assert (memory.size, memory.tokens) == (2, 12.0)
    np.testing.assert_allclose(memory.load(), [[0.45, 0.55]], rtol=1e-6)
    np.testing.assert_allclose(memory.variance(), [[0.02, 0.02]], rtol=1e-5)


def test_a_window_shorter_than_its_blocks_is_remembered_iteration_by_iteration() -> None:
    memory = Memory(1, 2, blocks=32)
    assert memory.add(np.array([[[1, 1]], [[3, 1]], [[1, 3]]])) == 3
    np.testing.assert_allclose(memory.means[:, 0, 0], [0.5, 0.75, 0.25])
    assert (memory.noise == 0).all()


def test_windows_follow_one_another_and_the_oldest_are_forgotten() -> None:
    early, late = np.full((4, 1, 2), 1), np.tile([3, 1], (4, 1, 1))
    memory = remembering(early, late)
    np.testing.assert_allclose(memory.load(), [[0.625, 0.375]])
    memory.forget(2)
    np.testing.assert_allclose(memory.load(), [[0.75, 0.25]])
    memory.forget(0)
    assert len(memory.means) == 2


@pytest.mark.parametrize("seed", range(3))
def test_loadings_have_the_covariance_of_the_blocks_and_what_is_left_is_alone(seed: int) -> None:
    rng = np.random.default_rng(seed)
    memory = remembering(rng.integers(1, 100, (12, 2, 5)), blocks=6)
    blocks = memory.means.reshape(6, -1).astype(float)
    whole = np.cov(blocks, rowvar=False, bias=True)
    loadings = memory.loadings(6).reshape(6, -1)
    np.testing.assert_allclose(loadings.T @ loadings, whole, atol=1e-9)
    np.testing.assert_allclose(memory.alone(memory.loadings(6)), 0, atol=1e-9)
    one = memory.loadings(1)
    assert (one**2).sum() == pytest.approx(np.linalg.eigvalsh(whole)[-1])
    np.testing.assert_allclose((one**2).sum(axis=0) + memory.alone(one), whole.diagonal().reshape(2, 5), atol=1e-9)
    assert memory.loadings(9).shape == (9, 2, 5) and (memory.loadings(9)[6:] == 0).all()


def test_a_switch_is_found_where_it_was() -> None:
    rng = np.random.default_rng(1)
    before, after = rng.dirichlet(np.ones(16), size=(2, 4))
    memory = Memory(4, 16, blocks=8)
    memory.add(drawn(before, 64, 2))
    last = np.concatenate([drawn(before, 40, 3), drawn(after, 24, 4)])
    blocks = memory.add(last)
    assert switch(memory, blocks) == 8 + 5
    memory.forget(switch(memory, blocks))
    np.testing.assert_allclose(memory.load(), after, atol=0.01)
    assert switch(memory, 3) == 0


@pytest.mark.parametrize("tokens", [100, 4000])
def test_sampling_alone_is_no_switch(tokens: int) -> None:
    shares = np.random.default_rng(5).dirichlet(np.ones(64), size=3)
    memory = Memory(3, 64, blocks=8)
    for seed in range(4):
        blocks = memory.add(drawn(shares, 32, seed, tokens))
        assert switch(memory, blocks) == 0
