"""kit.py convert, dumps of ATOM."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conversions import convert, notes, refusal
from dumps import lines, write


def spoiled(folder: Path, **fields: Any) -> None:
    """The first pass with another reference."""
    place = {"offset_bytes": 0, "shape": [2, 8], "dtype": "uint16"} | fields
    lines(folder / "moe_routes.jsonl", [{"moe_counts": place}])


def wrapped(folder: Path) -> None:
    counts = np.array([[0, 70000], [35000, 35000]]).astype("<u2")
    counts.tofile(folder / "moe_counts.uint16.bin")
    spoiled(folder, shape=[2, 2])


ATOM: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a count that wrapped": (
        wrapped,
        "moe_routes.jsonl, line 1: a count was cut off. Got: 4464 choices in layer 0 (from 0), 70000 in another: 65536"
        " less. Expected: as many in every layer; a count above 65535 does not fit uint16. Next: record passes of fewer"
        " tokens.",
    ),
    "counts that are cut off": (
        lambda folder: spoiled(folder, offset_bytes=4096),
        "moe_routes.jsonl, line 1: a pass lies outside the counts. Got: 16 counts from byte 4096. Expected: within the"
        " 4096 bytes of moe_counts.uint16.bin. Next: give the folder of one run, as it was written.",
    ),
    "another dtype": (
        lambda folder: spoiled(folder, dtype="int32"),
        "moe_routes.jsonl, line 1: moe_counts has the wrong form. Got: shape [2, 8], offset_bytes 0, dtype 'int32'."
        " Expected: shape [layer, expert] of one number of experts, offset_bytes, dtype uint16. Next: give the folder"
        " of one run, as it was written.",
    ),
    "no counts": (
        lambda folder: (folder / "moe_counts.uint16.bin").unlink(),
        "moe_routes.jsonl: there are no counts beside the lines. Got: no moe_counts.uint16.bin. Expected:"
        " moe_counts.uint16.bin of the same run. Next: give the folder of one run, as it was written.",
    ),
}


@pytest.mark.parametrize("case", ATOM)
def test_a_wrong_dump_of_atom_is_refused(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spoil, text = ATOM[case]
    write("atom", tmp_path / "in")
    spoil(tmp_path / "in")
    assert refusal(tmp_path, capsys, "--from", "atom", tmp_path / "in") == text


def test_passes_without_counts_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("atom", tmp_path / "in")
    assert convert(tmp_path, "--from", "atom", tmp_path / "in") == 0
    assert "1 pass without counts left out, which the recorder dropped" in notes(capsys)
