"""kit.py convert refuses an order of the axes that the numbers disprove, and says what it understood."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

import kit
from placement.errors import OrganizerError
from traces.conversion.axis_order import Size, check_order
from traces.conversion.counts import AXES

RNG = np.random.default_rng(19)
# Two tokens more in every iteration, each of which chooses two of four experts in each of three layers.
ROUTED = np.stack([RNG.multinomial(2 * (9 + 2 * i), [0.4, 0.3, 0.2, 0.1], 3) for i in range(6)]).astype(np.int32)
NAMED = [tuple(AXES[axis] for axis in order) for order in permutations(range(3))]


def read_as(hotness: np.ndarray, stored: tuple[str, ...], stated: tuple[str, ...]) -> np.ndarray:
    """What `convert` reads of a file with its axes `stored` when these are stated."""
    return hotness.transpose([AXES.index(axis) for axis in stored]).transpose([stated.index(axis) for axis in AXES])


KNOWN = Size("Known", 3, 4), RNG.integers(0, 99, (6, 3, 4))


@pytest.mark.parametrize(("size", "counts"), [(None, ROUTED), KNOWN], ids=["tokens", "a known size"])
@pytest.mark.parametrize("stored", NAMED, ids=",".join)
def test_the_order_that_is_proven_is_taken_and_every_other_one_refused(
    stored: tuple[str, ...], size: Size | None, counts: np.ndarray
) -> None:
    for stated in NAMED:
        values = read_as(counts, stored, stated)
        if stated == stored:
            assert check_order(values, stated, size, "counts.npy") == []
            continue
        with pytest.raises(OrganizerError) as caught:
            check_order(values, stated, size, "counts.npy")
        assert caught.value.next_step == f"give --axes {','.join(stored)}"


def test_layers_without_tokens_prove_nothing() -> None:
    dense = np.insert(ROUTED, 1, 0, axis=1)
    assert check_order(dense, AXES, None, "counts.npy") == []
    with pytest.raises(OrganizerError):
        check_order(dense.transpose(0, 2, 1), AXES, None, "counts.npy")


def test_where_every_iteration_has_as_many_tokens_both_possible_orders_are_named() -> None:
    steady = RNG.multinomial(40, [0.4, 0.3, 0.2, 0.1], (6, 3))
    assert check_order(steady, AXES, None, "counts.npy") == []
    # The tokens tell layers and iterations no more apart; more layers than iterations are rare.
    assert check_order(steady.transpose(1, 0, 2), AXES, None, "counts.npy") == [
        "6 layers, 4 experts, 3 iterations are unusual; if that is another order of the axes, give --axes, and "
        "--replace"
    ]
    with pytest.raises(OrganizerError, match="give --axes iteration,expert,layer or --axes layer,expert,iteration"):
        check_order(steady.transpose(0, 2, 1), AXES, None, "counts.npy")


def test_counts_that_never_change_prove_no_other_order() -> None:
    # Layers with different totals, the same in each iteration: not routed, but no other order is proven either.
    values = np.tile(np.array([[5, 3, 1, 0], [7, 7, 2, 1]]), (6, 1, 1))
    assert check_order(values, AXES, None, "counts.npy") == []


@pytest.mark.parametrize("shape", [(20, 6, 4), (5, 2, 6)], ids=["more layers than experts", "more experts than times"])
def test_unusual_sizes_that_nothing_proves_are_noted(shape: tuple[int, int, int]) -> None:
    iterations, layers, experts = shape
    assert check_order(RNG.integers(0, 99, shape), AXES, None, "counts.npy") == [
        f"{layers} layers, {experts} experts, {iterations} iterations are unusual; if that is another order of the "
        "axes, give --axes, and --replace"
    ]


def convert(folder: Path, values: np.ndarray, model: str = "DS-R1") -> int:
    np.save(folder / "counts.npy", values)
    words = ["convert", "--from", "npy", folder / "counts.npy", "--output", folder / "out", "--model", model]
    return kit.main([*map(str, words), "--dataset", "d", "--licence", "CC0-1.0"])


def test_a_model_of_the_grids_is_held_against_its_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = RNG.integers(0, 9, (4, 256, 58))
    assert convert(tmp_path, values) == 2 and not (tmp_path / "out").exists()
    assert capsys.readouterr().err == (
        "kit.py convert: error: counts.npy: the axes are in another order. "
        "Got: iteration,layer,expert: 256 layers, 58 experts, 4 iterations. "
        "Expected: 58 layers, 256 experts, as DS-R1 has in the official grid. "
        "Next: give --axes iteration,expert,layer.\n"
    )
    assert convert(tmp_path, values.transpose(0, 2, 1)) == 0
    assert f"{tmp_path}/out/DS-R1/d.npy: 58 layers, 256 experts, 4 iterations, 0.2 MB\n" == capsys.readouterr().out


def test_an_order_that_tokens_disprove_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert(tmp_path, ROUTED.transpose(1, 2, 0)) == 2 and not (tmp_path / "out").exists()
    assert capsys.readouterr().err == (
        "kit.py convert: error: counts.npy: the axes are in another order. "
        "Got: iteration,layer,expert: 4 layers, 6 experts, 3 iterations. "
        "Expected: the same number of tokens in all layers of an iteration. "
        "Next: give --axes layer,expert,iteration.\n"
    )
    assert convert(tmp_path, ROUTED) == 0
    assert "note: DS-R1 has 58 layers, 256 experts in the official grid\n" in capsys.readouterr().out
