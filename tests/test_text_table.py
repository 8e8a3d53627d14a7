"""Tables of whole numbers in text: what is read, and what is refused in the place of being rounded."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import pytest

from traces.conversion.text_table import whole_table


def table(folder: Path, text: str) -> Path:
    (folder / "t.txt").write_text(text, encoding="utf-8")
    return folder / "t.txt"


def test_integers_are_read_without_a_note(tmp_path: Path) -> None:
    values, notes = whole_table(table(tmp_path, "1\t9007199254740993\t\n3\t4\t\n"))
    # The second one is in no float.
    assert (values.tolist(), values.dtype.str[1:], notes) == ([[1, 9007199254740993], [3, 4]], "i8", [])


def test_whole_floats_are_read_with_a_note(tmp_path: Path) -> None:
    values, notes = whole_table(table(tmp_path, "head\n1,2.0\n3e2,4\n"), delimiter=",", skiprows=1)
    assert (values.tolist(), values.dtype.str[1:]) == ([[1, 2], [300, 4]], "i8")
    assert notes == ["float64 values, all whole, written as integers"]


@pytest.mark.parametrize(
    ("text", "got"),
    [
        ("1 2\n3 1.7\n", "1.7 in data row 1, column 1 (from 0)"),
        ("1 2\nnan 4\n", "nan in data row 1, column 0 (from 0)"),
        ("1 inf\n", "inf in data row 0, column 1 (from 0)"),
        ("9007199254740993 1.0\n", "9007199254740992.0 in data row 0, column 0 (from 0)"),
        ("1 many\n", "could not convert string 'many' to int64 at row 0, column 2"),
    ],
    ids=["a fraction", "NaN", "infinity", "more than a float holds", "a word"],
)
def test_what_is_no_whole_number_is_refused_with_its_place(text: str, got: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(got)}$"):
        whole_table(table(tmp_path, text))


def test_an_empty_file_has_no_rows_and_no_warning(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert whole_table(table(tmp_path, ""))[0].size == 0
