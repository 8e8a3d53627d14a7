"""kit.py convert: what the manifest keeps of a recording beside its origin, and who repeats it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import kit

HOTNESS = np.random.default_rng(8).integers(1, 50, (40, 2, 4)).astype(np.int32)
WITH_DENSE = np.insert(HOTNESS, (0, 0, 1), 0, axis=1)


def convert(folder: Path, form: str, *arguments: object, values: np.ndarray = HOTNESS) -> int:
    np.save(folder / "counts.npy", values)
    np.savez(folder / "stat.npz", logical_count=values)
    file = folder / ("stat.npz" if form == "sglang" else "counts.npy")
    where = ["--output", str(folder / "out"), "--model", "M", "--dataset", "d", "--licence", "CC0-1.0"]
    return kit.main(["convert", "--from", form, str(file), *map(str, arguments), *where])


def entry(folder: Path) -> dict[str, Any]:
    return yaml.safe_load((folder / "out" / "manifest.yaml").read_text(encoding="utf-8"))["traces"]["M/d"]


def error(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.removeprefix("kit.py convert: error: ").removesuffix("\n")


def test_layers_notes_and_options_are_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert(tmp_path, "sglang", "--as-is", "--sum", 4, values=WITH_DENSE) == 0
    kept = entry(tmp_path)
    assert kept["layers"] == [2, 4]
    assert kept["options"] == {"from": "sglang", "as-is": True, "sum": 4}
    assert kept["notes"] == [
        "stat.npz: rows in the file's order, as --as-is says: right for --expert-distribution-recorder-buffer-size -1"
        " or a buffer that was never full",
        "dense layers left out: 0 .. 1, 3 of 0 .. 4; 2 layers remain",
        "--sum 4: each iteration is the sum of 4 recorded ones",
    ]
    assert capsys.readouterr().out.splitlines()[1:] == [f"note: {note}" for note in kept["notes"]]
    assert kit.main(["verify", "--traces", str(tmp_path / "out")]) == 0


def test_the_oldest_row_is_kept(tmp_path: Path) -> None:
    assert convert(tmp_path, "sglang", "--oldest", 0) == 0
    assert entry(tmp_path)["options"] == {"from": "sglang", "oldest": 0}


def test_the_axes_are_kept_as_they_were_given(tmp_path: Path) -> None:
    axes = "layer,iteration,expert"
    assert convert(tmp_path, "npy", "--axes", axes, values=HOTNESS.transpose(1, 0, 2)) == 0
    assert entry(tmp_path)["options"] == {"from": "npy", "axes": axes}


def test_layers_that_no_file_tells_are_not_made_up(tmp_path: Path) -> None:
    assert convert(tmp_path, "npy") == 0
    assert "layers" not in entry(tmp_path)


@pytest.mark.parametrize(
    ("values", "options", "layers"),
    [
        (HOTNESS, ["--layers", "3,7"], [3, 7]),
        (WITH_DENSE, ["--drop-dense", "--layers", "10,11,12,13,14"], [12, 14]),
        (WITH_DENSE, ["--drop-dense"], [2, 4]),
        (WITH_DENSE, [], [0, 1, 2, 3, 4]),
    ],
    ids=["of the trace", "of the file", "by the file", "by the file with its dense ones"],
)
def test_layers_are_those_of_the_model(
    values: np.ndarray, options: list[str], layers: list[int], tmp_path: Path
) -> None:
    assert convert(tmp_path, "npy", *options, values=values) == 0
    assert entry(tmp_path)["layers"] == layers
    assert entry(tmp_path)["options"].get("layers") == (options[-1] if "--layers" in options else None)


@pytest.mark.parametrize(("stated", "told"), [("2,4", False), ("0-1", True)], ids=["the same", "others"])
def test_numbers_that_contradict_the_dump_are_taken_with_a_note(stated: str, told: bool, tmp_path: Path) -> None:
    assert convert(tmp_path, "sglang", "--as-is", "--layers", stated, values=WITH_DENSE) == 0
    note = "--layers 0 .. 1 in the place of the dump's own numbers, 2, 4"
    assert entry(tmp_path)["layers"] == ([0, 1] if told else [2, 4])
    assert (note in entry(tmp_path)["notes"]) == told


def test_other_numbers_of_layers_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert(tmp_path, "npy", "--layers", "3-5") == 2
    assert error(capsys) == (
        "convert: --layers does not fit the recording. Got: 3 numbers. Expected: one for each of 2 layers."
        " Next: state the model's number of every layer, as --layers 3-60."
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("3-", "'3-' is not a list of layers such as 3-60 or 1,3,5"),
        ("5-3", "'5-3' is not in ascending order"),
        ("3,3", "'3,3' is not in ascending order"),
    ],
)
def test_what_names_no_layers_is_refused(
    text: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        convert(tmp_path, "npy", "--layers", text)
    assert f"argument --layers: {reason}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("layers", "told"),
    [
        ((0, 1), "; the model's last ones among them, as where a pipeline stage's file is missing"),
        ((2, 3), "; the model's first ones among them, as where a pipeline stage's file is missing"),
        ((1, 3), ""),
    ],
    ids=["the first stage alone", "the last stage alone", "every second layer"],
)
def test_layers_of_another_stage_are_not_taken_for_dense_in_silence(
    layers: tuple[int, int], told: str, tmp_path: Path
) -> None:
    values = np.zeros((40, 4, 4), np.int32)
    values[:, layers] = HOTNESS
    assert convert(tmp_path, "sglang", "--as-is", values=values) == 0
    left_out = {(0, 1): "2 .. 3", (2, 3): "0 .. 1", (1, 3): "0, 2"}[layers]
    assert entry(tmp_path)["notes"][1] == f"dense layers left out: {left_out} of 0 .. 3; 2 layers remain{told}"


def test_statistics_repeat_the_notes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert(tmp_path, "npy", values=np.repeat(HOTNESS, 4, axis=0) * 3) == 0
    note = "all counts are multiples of 3, as where 3 ranks counted the same tokens: --divide 3 gives tokens"
    assert entry(tmp_path)["notes"] == [note]
    page = ["--traces", str(tmp_path / "out"), "--ep", "2", "--output", str(tmp_path / "pages")]
    assert kit.main(["statistics", *page]) == 0
    assert f"\nnote: {note}\n" in capsys.readouterr().out
    assert f">Note: {note}.</p>" in (tmp_path / "pages" / "M-d.html").read_text(encoding="utf-8")


def test_notes_of_another_form_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert(tmp_path, "npy", values=np.repeat(HOTNESS, 4, axis=0)) == 0
    path = tmp_path / "out" / "manifest.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("notes: []", "notes: dense"), encoding="utf-8")
    assert kit.main(["statistics", "--traces", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == (
        "kit.py statistics: error: manifest.yaml: the manifest has the wrong form. Got: notes: 'dense'. Expected: a "
        "list"
        " of sentences. Next: correct it, or convert again.\n"
    )
