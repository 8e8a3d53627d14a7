"""kit.py convert, SGLang's files of a cluster: stages of a pipeline, ranks without records, sums of several ranks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kit
from conversions import result

PASSES, LAYERS, EXPERTS = 5, 4, 8
HOTNESS = np.random.default_rng(2).integers(1, 40, (PASSES, LAYERS, EXPERTS)).astype(np.int32)
MAP = np.tile(np.arange(EXPERTS), (LAYERS, 1)).tolist()


def convert(folder: Path, *arguments: object) -> int:
    where = ["--output", str(folder / "out"), "--model", "M", "--dataset", "d", "--licence", "CC0-1.0"]
    return kit.main(["convert", "--from", "sglang", *map(str, arguments), *where])


def told(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line.removeprefix("note: ") for line in capsys.readouterr().out.splitlines()[1:]]


def refusal(folder: Path, capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The error's text, after the command wrote nothing."""
    assert convert(folder, *arguments) == 2
    assert not (folder / "out").exists()
    return capsys.readouterr().err.removeprefix("kit.py convert: error: ").removesuffix("\n")


def part(*layers: int) -> np.ndarray:
    """The hotness of these layers, zeros in the others."""
    values = np.zeros_like(HOTNESS)
    values[:, list(layers)] = HOTNESS[:, list(layers)]
    return values


def passes(folder: Path, name: str, values: np.ndarray, rank: int = 0, dtype: Any = int) -> Path:
    """A file of per_pass with a record for each row."""
    (folder / "in").mkdir(exist_ok=True)
    records = [
        {"forward_pass_id": 10 + number, "rank": rank, "global_physical_count": counts.astype(dtype).tolist()}
        for number, counts in enumerate(values)
    ]
    content = {"records": records, "last_physical_to_logical_map": MAP}
    path = folder / "in" / f"expert_distribution_recorder_{name}.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def stat(folder: Path, name: str, values: np.ndarray, **keys: Any) -> Path:
    (folder / "in").mkdir(exist_ok=True)
    path = folder / "in" / f"expert_distribution_recorder_{name}.npz"
    np.savez(path, logical_count=values, **keys)
    return path


def test_stages_of_a_pipeline_are_joined(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    passes(tmp_path, "1.5_0", part(0, 1) // 2)
    passes(tmp_path, "1.5_1", part(0, 1) - part(0, 1) // 2, rank=1)
    passes(tmp_path, "2.5_0", part(2, 3))
    passes(tmp_path, "2.5_1", part(2, 3) * 0, rank=1)
    assert convert(tmp_path, tmp_path / "in") == 0
    assert np.array_equal(result(tmp_path), HOTNESS)
    assert told(capsys) == [
        "summed over 2 ranks; forward_pass_id 10 .. 14 in order",
        "records of disjoint layers joined, as of 2 stages of a pipeline",
        "slots folded to experts with last_physical_to_logical_map: right only if no expert was moved while recording",
    ]


def test_a_pass_without_one_of_its_stages_is_incomplete(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    passes(tmp_path, "1.5_0", part(0, 1))
    passes(tmp_path, "2.5_0", part(2, 3)[:4])
    assert refusal(tmp_path, capsys, tmp_path / "in") == (
        "passes: a pass was not recorded by every rank. Got: no record of forward_pass_id 14 by one of the 2 stages of"
        " rank 0; 1 of 5 passes are incomplete. Expected: a record by each of ranks 0. Next: give every rank's file, or"
        " --skip-incomplete to leave such passes out."
    )
    assert convert(tmp_path, tmp_path / "in", "--skip-incomplete") == 0
    assert np.array_equal(result(tmp_path), HOTNESS[:4])


def test_a_file_that_repeats_a_stage_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    passes(tmp_path, "1.5_0", part(0, 1))
    passes(tmp_path, "2.5_0", part(2, 3))
    passes(tmp_path, "3.5_0", part(2, 3))
    assert refusal(tmp_path, capsys, tmp_path / "in") == (
        "expert_distribution_recorder_3.5_0.json, records[0]: a record is there twice. Got: forward_pass_id 10 of rank"
        " 0, gatherer_key primary again. Expected: each once. Next: leave out the file that repeats it."
    )


def test_stages_that_number_their_passes_apart_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stages = np.concatenate([part(0, 1), part(2, 3)])
    passes(tmp_path, "1.5_0", stages)
    assert convert(tmp_path, tmp_path / "in") == 0
    assert (
        "10 iterations with tokens in only some layers, the first 0 (from 0), as where a pipeline stage's file of the"
        " same passes is missing: convert the files of all stages"
    ) in told(capsys)


def test_a_rank_without_a_record_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    passes(tmp_path, "1.5_0", HOTNESS)
    passes(tmp_path, "1.5_1", HOTNESS[:0])
    assert refusal(tmp_path, capsys, tmp_path / "in") == (
        "expert_distribution_recorder_1.5_1.json: a rank recorded nothing. Got: no record: rank 1 by its name."
        " Expected: records of every rank. Next: dump all ranks again, or give --skip-incomplete to go on without it:"
        " what it served is then not counted."
    )


@pytest.mark.parametrize("silent", [0, 1], ids=["the first file", "a later file"])
def test_a_rank_without_a_record_is_left_out_when_that_is_wanted(
    silent: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for rank in range(3):
        passes(tmp_path, f"1.5_{rank}", HOTNESS[: 0 if rank == silent else PASSES], rank)
    assert convert(tmp_path, tmp_path / "in", "--skip-incomplete", "--divide", 2) == 0
    assert np.array_equal(result(tmp_path), HOTNESS)
    assert (
        f"expert_distribution_recorder_1.5_{silent}.json holds no record (rank {silent} by its name): left out, what"
        " that rank served is not counted"
    ) in told(capsys)


def test_files_without_any_record_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for rank in range(2):
        passes(tmp_path, f"1.5_{rank}", HOTNESS[:0])
    assert refusal(tmp_path, capsys, tmp_path / "in", "--skip-incomplete") == (
        "expert_distribution_recorder_1.5_0.json: records has the wrong form. Got: no record in 2 files. Expected:"
        " records. Next: compare the file with the form in starting_kit/traces/conversion/README.md, or dump again."
    )


@pytest.mark.parametrize("mode", ["stat", "per_pass"])
def test_whole_floats_are_taken_with_a_note(mode: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if mode == "stat":
        assert convert(tmp_path, stat(tmp_path, "1.5", HOTNESS / 1), "--as-is") == 0
    else:
        assert convert(tmp_path, passes(tmp_path, "1.5_0", HOTNESS, dtype=float)) == 0
    assert np.array_equal(result(tmp_path), HOTNESS)
    assert told(capsys).count("float64 values, all whole, written as integers") == 1


def test_floats_that_round_their_counts_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert(tmp_path, stat(tmp_path, "1.5", (HOTNESS * 100).astype(np.float16)), "--as-is") == 0
    assert (
        f"float16 values, all whole, written as integers; above 2048 a float16 is rounded, and the largest is"
        f" {int(result(tmp_path).max())}"
    ) in told(capsys)


def test_stages_of_statistics_are_joined_row_by_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, rows in (("1.5", part(0, 1)), ("2.5", part(2, 3))):
        stat(tmp_path, name, np.roll(rows, 2, axis=0), rank=0)
    assert convert(tmp_path, tmp_path / "in", "--oldest", 2) == 0
    assert np.array_equal(result(tmp_path), HOTNESS)
    assert (
        "expert_distribution_recorder_2.5.npz has other layers than expert_distribution_recorder_1.5.npz, as stages of"
        " a pipeline have: joined row by row"
    ) in told(capsys)


def test_several_stages_have_one_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, rows in (("1.5", part(0)), ("2.5", part(1)), ("3.5", part(2)), ("4.5", part(3))):
        stat(tmp_path, name, rows, rank=0)
    assert convert(tmp_path, tmp_path / "in", "--as-is") == 0
    (note,) = [note for note in told(capsys) if "stages" in note]
    assert note.endswith("as stages of a pipeline have: joined row by row; 2 further files likewise")


def test_stages_of_other_lengths_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [stat(tmp_path, "1.5", part(0, 1)), stat(tmp_path, "2.5", part(2, 3)[:3])]
    assert refusal(tmp_path, capsys, *files, "--as-is") == (
        "expert_distribution_recorder_2.5.npz: the stages of a pipeline do not fit together. Got: 3 rows. Expected: 5"
        " rows as in expert_distribution_recorder_1.5.npz, which has the other layers. Next: dump all stages at once."
    )


def test_the_same_statistics_of_several_ranks_are_taken_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for rank in range(2):
        stat(tmp_path, f"1.5_{rank}", HOTNESS)
    assert convert(tmp_path, tmp_path / "in", "--as-is") == 0
    assert np.array_equal(result(tmp_path), HOTNESS)
    assert (
        "expert_distribution_recorder_1.5_1.npz of rank 1 holds the same as expert_distribution_recorder_1.5_0.npz of"
        " rank 0: taken once"
    ) in told(capsys)


def test_other_statistics_of_several_ranks_are_no_later_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for rank in range(2):
        stat(tmp_path, f"{rank}.5", HOTNESS + rank, rank=rank)
    assert refusal(tmp_path, capsys, tmp_path / "in", "--as-is") == (
        "expert_distribution_recorder_1.5.npz: the files are statistics of several ranks. Got: other counts of rank 1"
        " than in expert_distribution_recorder_0.5.npz of rank 0. Expected: rank 0's file alone, for which SGLang adds"
        " up all ranks. Next: give rank 0's file alone if its counts are of all ranks; if each file has its rank's own,"
        " add up their arrays [row, layer, expert] and convert the sum with --from npy."
    )


def test_a_dump_that_is_there_twice_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [stat(tmp_path, f"{time}.5", HOTNESS, rank=0) for time in (1, 2)]
    assert refusal(tmp_path, capsys, *files, "--as-is") == (
        "expert_distribution_recorder_2.5.npz: a dump is there twice. Got: the rows of"
        " expert_distribution_recorder_1.5.npz again. Expected: each dump once. Next: leave one of the two out."
    )
