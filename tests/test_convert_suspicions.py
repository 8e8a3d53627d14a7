"""kit.py convert: what is suspicious in counts is said with a figure, and the advice makes a right trace."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pytest

import kit
from conversions import result

DRAW = np.random.default_rng(5)
HOTNESS = DRAW.integers(1, 50, (40, 2, 8)).astype(np.int32)
SPARSE = DRAW.multinomial(3, np.ones(8) / 8, (64, 2)).astype(np.int32)


def convert(folder: Path, values: np.ndarray, *arguments: object) -> int:
    np.save(folder / "counts.npy", values)
    where = ["--output", str(folder / "out"), "--model", "M", "--dataset", "d", "--licence", "CC0-1.0", "--replace"]
    return kit.main(["convert", "--from", "npy", str(folder / "counts.npy"), *map(str, arguments), *where])


def notes(folder: Path, capsys: pytest.CaptureFixture[str], values: np.ndarray, *arguments: object) -> list[str]:
    assert convert(folder, values, *arguments) == 0
    return [line.removeprefix("note: ") for line in capsys.readouterr().out.splitlines()[1:]]


def advised(note: str) -> list[str]:
    """The option that a note names, with its number."""
    words = shlex.split(note[note.index("--") :].replace(":", " "))
    return words[:2] if words[1].isdecimal() else words[:1]


def error(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.removeprefix("kit.py convert: error: ").removesuffix("\n")


def test_counts_without_a_suspicion_have_no_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert notes(tmp_path, capsys, HOTNESS) == []


def test_counters_that_run_on_are_told_and_become_what_was_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    counters = 1000 + HOTNESS.cumsum(axis=0)
    (note,) = notes(tmp_path, capsys, counters)
    assert note == (
        "no count falls in any of 40 iterations, as in running totals: if these are running totals, --differences "
        "takes the counts"
        " between two rows"
    )
    assert notes(tmp_path, capsys, counters, *advised(note)) == [
        "--differences: each iteration is a row minus the row before, 39 iterations of 40 rows"
    ]
    assert np.array_equal(result(tmp_path), HOTNESS[1:])


def test_counters_that_began_again_lose_that_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    counters = np.concatenate([HOTNESS[:30].cumsum(axis=0), HOTNESS[30:].cumsum(axis=0)])
    (note,) = notes(tmp_path, capsys, counters)
    assert note == (
        "counts fall in only 1 iteration of 40, as in running totals that began again: if these are running totals, "
        "--differences takes the"
        " counts between two rows"
    )
    assert notes(tmp_path, capsys, counters, *advised(note)) == [
        "--differences: each iteration is a row minus the row before, 39 iterations of 40 rows",
        "iterations left out, where the running totals began again: 29",
    ]
    assert np.array_equal(result(tmp_path), np.delete(HOTNESS, [0, 30], axis=0))


def test_counts_that_never_change_are_no_counters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    constant = np.repeat(HOTNESS[:1, [0, 0]], 9, axis=0)
    assert notes(tmp_path, capsys, constant) == []
    assert convert(tmp_path, constant, "--differences") == 2
    assert error(capsys) == (
        "convert: the counts are not running totals. Got: no rise. Expected: counts that never fall, as running"
        " totals. Next: leave --differences out."
    )


def test_differences_of_what_falls_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = HOTNESS.cumsum(axis=0)
    values[7, 1, 2] -= 60
    assert convert(tmp_path, values, "--differences") == 2
    assert error(capsys) == (
        "convert: the counts are not running totals. Got: a count falls in 1 iteration, the first 7. Expected: counts"
        " that never fall, as running totals. Next: leave --differences out."
    )


def test_empty_passes_are_told_and_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = np.insert(HOTNESS, (0, 7, 7), 0, axis=0)
    (note,) = notes(tmp_path, capsys, values)
    assert note == (
        "3 iterations without a token kept: a run takes every expert there as one token; --drop-empty leaves them out"
    )
    assert notes(tmp_path, capsys, values, *advised(note)) == ["3 iterations without a token left out: 0, 8 .. 9"]
    assert np.array_equal(result(tmp_path), HOTNESS)
    assert notes(tmp_path, capsys, HOTNESS, "--drop-empty") == [
        "--drop-empty: every iteration has tokens, none left out"
    ]


def test_tokens_that_every_rank_counted_are_told_and_divided(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (note,) = notes(tmp_path, capsys, HOTNESS * 8)
    assert note == ("all counts are multiples of 8, as where 8 ranks counted the same tokens: --divide 8 gives tokens")
    assert notes(tmp_path, capsys, HOTNESS * 8, *advised(note)) == ["--divide 8: every recorded count divided by 8"]
    assert np.array_equal(result(tmp_path), HOTNESS)


def test_counts_that_cannot_be_divided_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = HOTNESS * 4
    values[9, 1, 3] = 7
    assert convert(tmp_path, values, "--divide", 4) == 2
    assert error(capsys) == (
        "convert: a count cannot be divided. Got: 7 at iteration 9, layer 1, expert 3 (from 0). Expected: multiples of"
        " 4. Next: correct --divide, or leave it out."
    )


def test_zeros_are_told_with_the_load_of_their_ones_and_summed_away(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    zeros, tokens = int((SPARSE == 0).sum()), int(SPARSE.sum())
    (note,) = notes(tmp_path, capsys, SPARSE)
    assert note.startswith(
        f"{zeros / SPARSE.size:.0%} of the counts are zero; a run takes each as one token, which adds"
        f" {zeros / tokens:.0%} to the load: the PAR (peak-to-average ratio) of such a trace is not the recording's,"
        " record more tokens at a time, or add up iterations: with --sum 8 they add "
    )
    assert notes(tmp_path, capsys, SPARSE, *advised(note)) == ["--sum 8: each iteration is the sum of 8 recorded ones"]
    summed = SPARSE.reshape(8, 8, 2, 8).sum(axis=1)
    assert np.array_equal(result(tmp_path), summed)
    assert note.endswith(f"add {(summed == 0).sum() / tokens:.0%} in 8 iterations")


def test_a_sum_that_is_too_small_names_the_one_in_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, note = notes(tmp_path, capsys, SPARSE, "--sum", 2)
    assert advised(note[note.index("; a run") :]) == ["--sum", "8"]


def test_the_rest_of_a_sum_is_left_out_with_a_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert notes(tmp_path, capsys, HOTNESS, "--sum", 12) == [
        "--sum 12: each iteration is the sum of 12 recorded ones; the last 4 left out"
    ]
    assert np.array_equal(result(tmp_path), HOTNESS[:36].reshape(3, 12, 2, 8).sum(axis=1))


@pytest.mark.parametrize(
    ("several", "scale", "text"),
    [
        (
            41,
            1,
            "the recording is too short. Got: 40 iterations. Expected: at least 41, as --sum says."
            " Next: choose a smaller --sum.",
        ),
        (
            2,
            2**30,
            "a sum is out of range. Got: 2147483648 in iteration 0. Expected: 0 .. 2147483647."
            " Next: choose a smaller --sum.",
        ),
    ],
    ids=["too many", "too large"],
)
def test_a_sum_that_cannot_be_is_refused(
    several: int, scale: int, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert convert(tmp_path, np.full((40, 2, 8), scale), "--sum", several) == 2
    assert error(capsys) == f"convert: {text}"


def test_zeros_that_no_sum_mends_ask_for_more_tokens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = np.zeros((8, 2, 8), np.int32)
    values[np.arange(8), :, np.arange(8)] = 1
    (note,) = notes(tmp_path, capsys, values)
    assert note.endswith("is not the recording's, record more tokens at a time")


def test_experts_that_never_get_a_token_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = HOTNESS.copy() * 4 + 1
    values[:, :, 2:] = 0
    told = notes(tmp_path, capsys, values)
    assert told[0] == (
        "experts 2 .. 7 of 0 .. 7 never have a token in any layer (6 of 8), as where only one rank's counts were saved"
        ", or --experts was given and is too large: convert the counts of all ranks"
    )


def test_a_layer_of_one_ranks_experts_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = HOTNESS.copy() * 4 + 1
    values[:, 0, 4:] = 0
    values[:, 1, :4] = 0
    told = notes(tmp_path, capsys, values, "--layers", "3,4")
    assert told[0] == (
        "in layers 3 .. 4 at least half of the experts never have a token, up to 4 of 8, as where only one rank's"
        " counts were saved: convert the counts of all ranks"
    )


def test_few_tokens_say_nothing_of_idle_experts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = np.zeros((9, 2, 8), np.int32)
    values[:, 0, :4] = [2, 0, 1, 1]
    values[::2, 1, :4] = [1, 1, 2, 0]
    assert not any("never have a token" in note for note in notes(tmp_path, capsys, values))


@pytest.mark.parametrize("routed", [False, True], ids=["fused", "routed"])
def test_an_expert_that_every_token_has_is_told(
    routed: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Two choices of 7 experts, and the last is the third of every token.
    values = np.zeros((40, 2, 8), np.int32)
    tokens = DRAW.integers(60, 200, 40)
    for iteration, number in enumerate(tokens):
        for layer in range(2):
            counts = DRAW.multinomial(2 * number - 14, np.ones(7) / 7) + 2
            values[iteration, layer] = [*counts, number - routed]
    told = notes(tmp_path, capsys, values, "--layers", "3,4")
    fused = (
        "expert 7 has every token of layers 3 .. 4, as a shared expert that is fused with the routed ones: record again"
        " with the fusion of shared experts off, or convert the counts without it"
    )
    assert told == ([] if routed else [fused])
