"""kit.py convert, the forms that are hotness already: arrays, and the load_history of ADRS."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kit
from conversions import result

HOTNESS = np.random.default_rng(6).integers(1, 50, (200, 2, 4)).astype(np.int32)
WITH_DENSE = np.insert(HOTNESS, 1, 0, axis=1)


def convert(folder: Path, form: str, *arguments: object) -> int:
    where = ["--output", str(folder / "out"), "--model", "M", "--dataset", "d", "--licence", "CC0-1.0"]
    return kit.main(["convert", "--from", form, *map(str, arguments), *where])


def array(folder: Path, values: np.ndarray) -> Path:
    np.save(folder / "counts.npy", values)
    return folder / "counts.npy"


def history(folder: Path, steps: Any) -> Path:
    path = folder / "expert-load.json"
    path.write_text(json.dumps({"load_history": steps}), encoding="utf-8")
    return path


def steps_of(values: np.ndarray) -> list[Any]:
    return [{"logical_expert_load": step.tolist()} for step in values]


def refusal(folder: Path, capsys: pytest.CaptureFixture[str], form: str, *arguments: object) -> str:
    """The error's text, after the command wrote nothing."""
    assert convert(folder, form, *arguments) == 2
    assert not (folder / "out").exists()
    return capsys.readouterr().err.removeprefix("kit.py convert: error: ").removesuffix("\n")


@pytest.mark.parametrize("dtype", ["u1", "i2", ">i4", "u8", "f4"])
def test_an_array_of_any_whole_numbers_is_taken(dtype: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert(tmp_path, "npy", array(tmp_path, np.asfortranarray(HOTNESS.astype(dtype)))) == 0
    written = result(tmp_path)
    assert np.array_equal(written, HOTNESS)
    assert (written.dtype, written.flags.c_contiguous) == (np.dtype("<i4"), True)
    noted = "note: float32 values, all whole, written as integers\n" in capsys.readouterr().out
    assert noted == (dtype == "f4")


@pytest.mark.parametrize(
    ("axes", "order"), [("layer,iteration,expert", (1, 0, 2)), ("expert,layer,iteration", (2, 1, 0))]
)
def test_axes_are_put_in_order(axes: str, order: tuple[int, ...], tmp_path: Path) -> None:
    assert convert(tmp_path, "npy", array(tmp_path, HOTNESS.transpose(order)), "--axes", axes) == 0
    assert np.array_equal(result(tmp_path), HOTNESS)


def test_layers_without_tokens_are_kept_with_a_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert(tmp_path, "npy", array(tmp_path, WITH_DENSE)) == 0
    assert np.array_equal(result(tmp_path), WITH_DENSE)
    assert "note: layers 1 never have a token and are kept; --drop-dense leaves them out\n" in capsys.readouterr().out


def test_layers_without_tokens_are_dropped_when_that_is_wanted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert convert(tmp_path, "npy", array(tmp_path, WITH_DENSE), "--drop-dense") == 0
    assert np.array_equal(result(tmp_path), HOTNESS)
    assert "note: dense layers left out: 1 of 0 .. 2; 2 layers remain\n" in capsys.readouterr().out


def test_dropping_no_layer_is_noted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert(tmp_path, "npy", array(tmp_path, HOTNESS), "--drop-dense") == 0
    assert "note: --drop-dense: every layer has tokens, none left out\n" in capsys.readouterr().out


@pytest.mark.parametrize("others", [{}, {"weights": np.ones(3)}], ids=["the only one", "the one called hotness"])
def test_one_array_of_an_npz_is_the_hotness(others: dict[str, np.ndarray], tmp_path: Path) -> None:
    np.savez(tmp_path / "counts.npz", hotness=HOTNESS, **others)
    assert convert(tmp_path, "npy", tmp_path / "counts.npz") == 0
    assert np.array_equal(result(tmp_path), HOTNESS)


def with_value(dtype: str, value: float) -> np.ndarray:
    values = HOTNESS.astype(dtype)
    values[150, 1, 3] = value
    return values


FORM = "Next: compare the file with the form in starting_kit/traces/conversion/README.md."
AS_COUNTED = "Next: record again, or export the counts of tokens as they were counted."
PLACE = "at iteration 150, layer 1, expert 3 (from 0). Expected: a whole number in 0 .. 2147483647."
ARRAYS = {
    "negative": (with_value("i4", -1), f"a count is out of range. Got: -1 {PLACE} {AS_COUNTED}"),
    "too large": (with_value("u4", 2**31), f"a count is out of range. Got: 2147483648 {PLACE} {AS_COUNTED}"),
    "too large by one": (
        with_value("f4", 2.0**31),
        f"a count is out of range. Got: 2147483648.0 {PLACE} {AS_COUNTED}",
    ),
    "not a number": (with_value("f8", np.nan), f"a count is out of range. Got: nan {PLACE} {AS_COUNTED}"),
    "infinite": (with_value("f8", np.inf), f"a count is out of range. Got: inf {PLACE} {AS_COUNTED}"),
    "a fraction": (with_value("f8", 2.5), f"a count is not whole. Got: 2.5 {PLACE} {AS_COUNTED}"),
    "booleans": (
        HOTNESS > 9,
        "the counts are not integers. Got: dtype bool. Expected: an integer dtype, or floats that are all whole."
        " Next: export the counts of tokens, not what was derived from them.",
    ),
    "two axes": (
        HOTNESS[0],
        f"the array has the wrong form. Got: shape [2, 4]. Expected: numbers [iteration, layer, expert]. {FORM}",
    ),
    "no experts": (
        HOTNESS[:, :, :0],
        f"the array has the wrong form. Got: shape [200, 2, 0]. Expected: numbers [iteration, layer, expert]. {FORM}",
    ),
    "objects": (
        HOTNESS.astype(object),
        "the file holds pickled objects. Got: objects that only unpickling can make. Expected: arrays, numbers, texts"
        " and lists. Next: export arrays only.",
    ),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_an_array_that_is_no_hotness_is_refused(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values, text = ARRAYS[case]
    assert refusal(tmp_path, capsys, "npy", array(tmp_path, values)) == f"counts.npy: {text}"


def test_a_wrong_value_is_named_by_the_axes_of_the_trace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = array(tmp_path, with_value("i4", -1).transpose(2, 1, 0))
    text = refusal(tmp_path, capsys, "npy", path, "--axes", "expert,layer,iteration")
    assert text == f"counts.npy: a count is out of range. Got: -1 {PLACE} {AS_COUNTED}"


def test_two_arrays_are_refused_unless_one_is_called_hotness(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "counts.npz", a=HOTNESS, b=HOTNESS)
    assert refusal(tmp_path, capsys, "npy", tmp_path / "counts.npz") == (
        "counts.npz: the file does not say which array is the hotness. Got: 2 arrays: a, b. Expected: one array, or"
        " one called hotness. Next: export that array alone."
    )


def test_objects_in_an_npz_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "counts.npz", hotness=HOTNESS.astype(object))
    text = refusal(tmp_path, capsys, "npy", tmp_path / "counts.npz")
    assert text == f"counts.npz: {ARRAYS['objects'][1]}"


def test_a_damaged_array_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = array(tmp_path, HOTNESS)
    path.write_bytes(path.read_bytes()[:500])
    text = refusal(tmp_path, capsys, "npy", path)
    assert text.startswith("counts.npy: the file cannot be read. Got: ValueError: ")
    assert text.endswith(" Expected: a complete .npy file. Next: copy the file again.")


@pytest.mark.parametrize("axes", ["layer,expert", "iteration,layer,layer", "layer, iteration, expert", "t,l,e"])
def test_other_axes_are_refused(axes: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        convert(tmp_path, "npy", array(tmp_path, HOTNESS), "--axes", axes)
    assert (
        f"argument --axes: {axes!r} is not iteration, layer, expert in some order, with commas"
        in capsys.readouterr().err
    )


# adrs


def test_the_steps_of_a_load_history_are_iterations(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert(tmp_path, "adrs", history(tmp_path, steps_of(WITH_DENSE))) == 0
    assert np.array_equal(result(tmp_path), HOTNESS)
    assert "note: dense layers left out: 1 of 0 .. 2; 2 layers remain\n" in capsys.readouterr().out


def test_counts_above_16_bits_are_kept(tmp_path: Path) -> None:
    values = HOTNESS.copy()
    values[7, 1, 2] = 2**31 - 1
    assert convert(tmp_path, "adrs", history(tmp_path, steps_of(values))) == 0
    assert np.array_equal(result(tmp_path), values)


def step(value: Any) -> list[Any]:
    """Two steps, the second with this value for layer 1, expert 0."""
    steps = steps_of(HOTNESS[:2])
    steps[1]["logical_expert_load"][1][0] = value
    return steps


SECOND = "expert-load.json, load_history[1]:"
RANGE = "at layer 1, expert 0 (from 0). Expected: a whole number in 0 .. 2147483647."
NO_NUMBERS = "Got: lists of different lengths, or values that are not numbers. Expected: numbers [layer, expert]."
HISTORIES = {
    "negative": (step(-3), f"{SECOND} a count is out of range. Got: -3 {RANGE} {AS_COUNTED}"),
    "too large": (step(2**31), f"{SECOND} a count is out of range. Got: 2147483648 {RANGE} {AS_COUNTED}"),
    "far too large": (step(2**70), f"{SECOND} logical_expert_load has the wrong form. {NO_NUMBERS} {FORM}"),
    "floats": (
        step(1.5),
        f"{SECOND} a count is not whole. Got: 1.5 at layer 1, expert 0 (from 0). Expected: a whole number in 0 .."
        f" 2147483647. {AS_COUNTED}",
    ),
    "text": (
        step("4"),
        f"{SECOND} the counts are not integers. Got: dtype <U21. Expected: an integer dtype, or floats that are all"
        " whole. Next: export the counts of tokens, not what was derived from them.",
    ),
    "null": (step(None), f"{SECOND} logical_expert_load has the wrong form. {NO_NUMBERS} {FORM}"),
    "ragged": (
        [*steps_of(HOTNESS[:1]), {"logical_expert_load": [[1, 2, 3, 4], [1]]}],
        f"{SECOND} logical_expert_load has the wrong form. {NO_NUMBERS} {FORM}",
    ),
    "another shape": (
        [*steps_of(HOTNESS[:1]), *steps_of(HOTNESS[:1, :1])],
        f"{SECOND} the step has another shape. Got: [layer, expert] [1, 4]. Expected: [2, 4] as in the steps before."
        f" {FORM}",
    ),
    "another key": (
        [*steps_of(HOTNESS[:1]), {"load": [[1]]}],
        f"{SECOND} a key is missing. Got: load. Expected: the key logical_expert_load."
        " Next: choose another --from, or export again.",
    ),
    "a step of numbers": (
        [*steps_of(HOTNESS[:1]), 4],
        f"{SECOND} a step has the wrong form. Got: an int. Expected: a mapping. {FORM}",
    ),
    "no steps": (
        [],
        f"expert-load.json: load_history has the wrong form. Got: no element. Expected: a list of steps. {FORM}",
    ),
    "a mapping": (
        {},
        f"expert-load.json: load_history has the wrong form. Got: a dict. Expected: a list of steps. {FORM}",
    ),
}


@pytest.mark.parametrize("case", HISTORIES)
def test_a_malformed_history_is_refused(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    steps, text = HISTORIES[case]
    assert refusal(tmp_path, capsys, "adrs", history(tmp_path, steps)) == text


def test_json_of_another_kind_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "other.json"
    path.write_text("[1, 2]", encoding="utf-8")
    assert refusal(tmp_path, capsys, "adrs", path) == (
        "other.json: the dump has no keys. Got: a list. Expected: a mapping. Next: see starting_kit/traces/conversion/"
        "README.md for the keys."
    )


def test_damaged_json_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "cut.json"
    path.write_text('{"load_history": [', encoding="utf-8")
    assert refusal(tmp_path, capsys, "adrs", path) == (
        "cut.json: the file cannot be read. Got: JSONDecodeError: Expecting value: line 1 column 19 (char 18)."
        " Expected: a complete .json file. Next: copy the file again."
    )
