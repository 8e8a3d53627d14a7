"""kit.py convert, tables of counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from conversions import convert, notes, refusal, result


def table(folder: Path, text: str) -> Path:
    (folder / "t.csv").write_text(text)
    return folder / "t.csv"


def test_columns_are_found_by_their_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = 'model,expert_id,tokens,step,"layer"\nM,1,5,7,3\nM,0,6,9,"3"\nM,2,4,8,3\n'
    assert convert(tmp_path, "--from", "csv", table(tmp_path, text)) == 0
    assert result(tmp_path).tolist() == [[[0, 5, 0]], [[0, 0, 4]], [[6, 0, 0]]]
    assert notes(capsys)[:3] == [
        "iteration 7 .. 9 in order, 3 iterations with a row",
        "3 experts, as the largest number says; --experts N states another number",
        "6 of 9 counts have no row and are zero",
    ]


HEAD = "iteration,layer,expert,count\n"
TABLES = {
    "no iteration": (
        "layer,expert,count\n0,0,1\n",
        "the table has no column iteration. Got: layer,expert,count. Expected: a first line with iteration, layer,"
        " expert, count",
    ),
    "a count twice": (
        HEAD + "0,0,0,1\n0,0,1,1\n0,0,0,2\n",
        "a count is there twice. Got: data rows 0 and 2 (from 0) for iteration 0, layer 0, expert 0. Expected: each"
        " count once",
    ),
    "a word": (
        HEAD + "0,0,0,1\n0,0,1,many\n",
        "the table has the wrong form. Got: could not convert string 'many' to int64 at row 1, column 4. Expected: "
        "whole"
        " numbers",
    ),
    "a fraction": (
        HEAD + "0,0,0,1\n0,0,1,1.7\n",
        "the table has the wrong form. Got: 1.7 in data row 1, column 3 (from 0). Expected: whole numbers",
    ),
    "no row": (HEAD, "the table is empty. Got: no row. Expected: a row for each count"),
    "a negative count": (
        HEAD + "0,0,0,1\n1,0,0,-1\n",
        "count is out of range. Got: -1 in data row 1 (from 0). Expected: 0 .. 2147483647",
    ),
    "a damaged expert": (
        HEAD + "0,0,70000,1\n",
        "expert is out of range. Got: 70000 in data row 0 (from 0). Expected: 0 .. 65535",
    ),
}


@pytest.mark.parametrize("case", TABLES)
def test_a_wrong_table_is_refused(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, refused = TABLES[case]
    assert refusal(tmp_path, capsys, "--from", "csv", table(tmp_path, text)) == (
        f"t.csv: {refused}. Next: correct the file, or export it again."
    )
