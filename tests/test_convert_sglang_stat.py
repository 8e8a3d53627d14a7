"""kit.py convert, SGLang's modes stat and stat_approx: a ring buffer whose beginning the file does not tell."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import kit
from conversions import result

# Of every row of a buffer: a dense layer, then two with experts.
HOTNESS = np.random.default_rng(3).multinomial(90, [0.1, 0.2, 0.3, 0.4], (5, 2)).astype(np.int32)
WITH_DENSE = np.concatenate([np.zeros((5, 1, 4), np.int32), HOTNESS], axis=1)
EMPTY = np.zeros((1, 3, 4), np.int32)


def convert(folder: Path, *arguments: object) -> int:
    where = ["--output", str(folder / "out"), "--model", "M", "--dataset", "d", "--licence", "CC0-1.0"]
    return kit.main(["convert", "--from", "sglang", *map(str, arguments), *where])


def stat(folder: Path, rows: np.ndarray, name: str = "dump.npz") -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    np.savez(path, rank=0, logical_count=rows, average_utilization_rate_over_window=0.5)
    return path


def rows(*parts: np.ndarray) -> np.ndarray:
    return np.concatenate(parts)


def refusal(folder: Path, capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The error's text, after the command wrote nothing."""
    assert convert(folder, *arguments) == 2
    assert not (folder / "out").exists()
    return capsys.readouterr().err.removeprefix("kit.py convert: error: ").removesuffix("\n")


@pytest.mark.parametrize("before", [0, 2], ids=["from the first row", "from where the last recording ended"])
def test_a_buffer_that_was_not_full_is_cut_to_what_was_written(
    before: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = stat(tmp_path, rows(*[EMPTY] * before, WITH_DENSE, EMPTY, EMPTY, EMPTY))
    assert convert(tmp_path, path) == 0
    assert np.array_equal(result(tmp_path), HOTNESS)
    left_out = "0 .. 1, 7 .. 9" if before else "5 .. 7"
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path}/out/M/d.npy: 2 layers, 4 experts, 5 iterations, 0.0 MB",
        f"note: dump.npz: rows in the file's order; empty rows, taken as not yet written, left out: {left_out}",
        "note: dense layers left out: 0 of 0 .. 2; 2 layers remain",
    ]


def test_a_full_ring_begins_with_the_stated_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = stat(tmp_path, np.roll(WITH_DENSE, 2, axis=0))
    assert convert(tmp_path, path, "--oldest", 2) == 0
    assert np.array_equal(result(tmp_path), HOTNESS)
    assert "note: dump.npz: rows in order from row 2 on, as --oldest says\n" in capsys.readouterr().out


def test_a_ring_that_wrapped_and_was_not_full_is_cut_behind_its_newest_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = stat(tmp_path, rows(WITH_DENSE[3:], EMPTY, EMPTY, WITH_DENSE[:3]))
    assert convert(tmp_path, path, "--oldest", 4) == 0
    assert np.array_equal(result(tmp_path), HOTNESS)
    assert "as --oldest says; empty rows, taken as not yet written, left out: 2 .. 3\n" in capsys.readouterr().out


def test_rows_are_taken_in_the_files_order_when_that_is_stated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = stat(tmp_path, rows(WITH_DENSE[:2], EMPTY, WITH_DENSE[2:]))
    assert convert(tmp_path, path, "--as-is") == 0
    assert np.array_equal(result(tmp_path), np.insert(HOTNESS, 2, 0, axis=0))
    assert capsys.readouterr().out.splitlines()[1:] == [
        "note: dump.npz: rows in the file's order, as --as-is says: right for"
        " --expert-distribution-recorder-buffer-size -1 or a buffer that was never full",
        "note: dense layers left out: 0 of 0 .. 2; 2 layers remain",
        "note: 1 iteration without a token kept: a run takes every expert there as one token; --drop-empty leaves"
        " them out",
    ]


def test_dumps_are_joined_in_order_of_their_times(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stat(tmp_path, rows(WITH_DENSE[:2], EMPTY), "in/expert_distribution_recorder_999.5.npz")
    stat(tmp_path, rows(EMPTY, WITH_DENSE[2:]), "in/expert_distribution_recorder_1000.25.npz")
    assert convert(tmp_path, tmp_path / "in") == 0
    assert np.array_equal(result(tmp_path), HOTNESS)
    joined = "expert_distribution_recorder_999.5.npz .. expert_distribution_recorder_1000.25.npz"
    assert f"note: 2 files in order, {joined}\n" in capsys.readouterr().out


def test_json_is_read_as_npz_is(tmp_path: Path) -> None:
    path = tmp_path / "dump.json"
    path.write_text(json.dumps({"rank": 0, "logical_count": rows(WITH_DENSE, EMPTY).tolist()}), encoding="utf-8")
    assert convert(tmp_path, path) == 0
    assert np.array_equal(result(tmp_path), HOTNESS)


FULL = (
    "dump.npz: the ring buffer is full, so the file does not say which row is the oldest. Got: 5 rows, all written."
    " Expected: a row that the order begins with. Next: give --oldest N (passes recorded since the server's start,"
    " modulo the rows), or --as-is if the buffer was of unlimited size (--expert-distribution-recorder-buffer-size -1)"
    " or never wrapped; see starting_kit/traces/conversion/README.md."
)
BETWEEN = (
    "dump.npz: empty rows lie between written ones, so the file does not say which row is the oldest. Got: rows {0} of"
    " {1} are empty. Expected: one run of empty rows at the beginning or the end. Next: give --oldest {2} if the rows"
    " before it were not yet written, or --as-is if they were passes without a token."
)
UNKNOWN_ORDERS = {
    "full": (WITH_DENSE, (), FULL),
    "wrapped": (rows(WITH_DENSE[3:], EMPTY, WITH_DENSE[:3]), (), BETWEEN.format("2", 6, "3")),
    "two runs": (rows(WITH_DENSE[:2], EMPTY, WITH_DENSE[2:], EMPTY), (), BETWEEN.format("2, 6", 7, "0 or 3")),
    "empty": (
        np.zeros((4, 3, 4), int),
        (),
        "dump.npz: no row holds a token. Got: 4 rows of zeros. Expected: a recording. Next: record again.",
    ),
    "no such row": (
        WITH_DENSE,
        ("--oldest", 5),
        "dump.npz: --oldest is no row. Got: 5. Expected: 0 .. 4. Next: correct --oldest.",
    ),
    "an empty row": (
        rows(WITH_DENSE, EMPTY),
        ("--oldest", 5),
        "dump.npz: the row of --oldest is empty. Got: row 5. Expected: a row that holds a token."
        " Next: correct --oldest.",
    ),
}


@pytest.mark.parametrize("case", UNKNOWN_ORDERS)
def test_an_order_that_cannot_be_known_is_refused(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values, options, text = UNKNOWN_ORDERS[case]
    assert refusal(tmp_path, capsys, stat(tmp_path, values), *options) == text


NEGATIVE = rows(WITH_DENSE, EMPTY)
NEGATIVE[3, 2, 1] = -4
HUGE = NEGATIVE.astype(np.int64)
HUGE[3, 2, 1] = 2**31
AS_COUNTED = "Next: record again, or export the counts of tokens as they were counted."
FORM = "Next: compare the file with the form in starting_kit/traces/conversion/README.md."
WRONG_VALUES = {
    "negative": (
        NEGATIVE,
        "dump.npz, logical_count: a count is out of range. Got: -4 at row 3, layer 2, expert 1 (from 0)."
        f" Expected: a whole number in 0 .. 2147483647. {AS_COUNTED}",
    ),
    "too large": (
        HUGE,
        "dump.npz, logical_count: a count is out of range. Got: 2147483648 at row 3, layer 2, expert 1 (from 0)."
        f" Expected: a whole number in 0 .. 2147483647. {AS_COUNTED}",
    ),
    "floats": (
        rows(WITH_DENSE, EMPTY) / 2,
        "dump.npz, logical_count: a count is not whole. Got: 2.5 at row 0, layer 1, expert 0 (from 0). Expected: a"
        f" whole number in 0 .. 2147483647. {AS_COUNTED}",
    ),
    "a sum": (
        WITH_DENSE.sum(axis=0),
        "dump.npz: the dump has no iterations. Got: logical_count with shape [3, 4], a sum over time. Expected:"
        " [row, layer, expert]. Next: record again in mode stat with a buffer; a trace cannot be made from sums.",
    ),
    "one axis": (
        np.ones(3, int),
        f"dump.npz: logical_count has the wrong form. Got: shape [3]. Expected: numbers [row, layer, expert]. {FORM}",
    ),
    "no rows": (
        WITH_DENSE[:0],
        "dump.npz: logical_count has the wrong form. Got: shape [0, 3, 4]. Expected: numbers [row, layer, expert]."
        f" {FORM}",
    ),
}


@pytest.mark.parametrize("case", WRONG_VALUES)
def test_values_that_are_no_counts_are_refused(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values, text = WRONG_VALUES[case]
    assert refusal(tmp_path, capsys, stat(tmp_path, values)) == text


def test_counts_in_quotes_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "dump.json"
    path.write_text('{"logical_count": [[["1", "2"]]]}', encoding="utf-8")
    assert refusal(tmp_path, capsys, path).startswith(
        "dump.json, logical_count: the counts are not integers. Got: dtype <U1. Expected: an integer dtype, or floats"
    )


def test_lists_of_different_lengths_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "dump.json"
    path.write_text('{"logical_count": [[[1, 2], [3]]]}', encoding="utf-8")
    assert refusal(tmp_path, capsys, path) == (
        "dump.json: logical_count has the wrong form. Got: lists of different lengths, or values that are not numbers."
        f" Expected: numbers [row, layer, expert]. {FORM}"
    )


def test_several_buffers_have_no_common_oldest_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [stat(tmp_path, WITH_DENSE + more, name) for more, name in enumerate(("a.npz", "b.npz"))]
    assert refusal(tmp_path, capsys, *files, "--oldest", 0) == (
        "input: --oldest is of one buffer. Got: --oldest 0 for 2 files. Expected: one file."
        " Next: convert the files one by one."
    )


def test_dumps_of_different_models_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [stat(tmp_path, WITH_DENSE, "a.npz"), stat(tmp_path, WITH_DENSE[:, 1:], "b.npz")]
    assert refusal(tmp_path, capsys, *files, "--as-is") == (
        "b.npz: the dump has another shape. Got: [layer, expert] [2, 4]. Expected: [3, 4] as in the file before."
        " Next: convert one recording at a time."
    )


def test_dumps_of_different_modes_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [stat(tmp_path, WITH_DENSE, "a.npz"), tmp_path / "b.npz"]
    np.savez(files[1], forward_pass_id=1)
    assert refusal(tmp_path, capsys, *files, "--as-is") == (
        "b.npz: the dump is of another mode. Got: keys forward_pass_id. Expected: logical_count, as in the file before."
        " Next: convert one mode at a time."
    )


def test_an_option_of_the_other_modes_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refusal(tmp_path, capsys, stat(tmp_path, WITH_DENSE), "--as-is", "--skip-incomplete") == (
        "input: an option is not of this mode. Got: --skip-incomplete for a dump of mode stat. Expected: no"
        " --skip-incomplete. Next: leave --skip-incomplete out."
    )


def test_a_file_of_another_kind_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "other.npz", weights=np.ones(3))
    assert refusal(tmp_path, capsys, tmp_path / "other.npz") == (
        "other.npz: the file is no dump of the recorder. Got: keys weights. Expected: logical_count, or one of"
        " global_physical_count, records, topk_ids_of_layer. Next: choose another --from, or dump again."
    )
