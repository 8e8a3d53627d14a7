"""kit.py convert, dumps of MindIE."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conversions import convert, notes, refusal, result
from dumps import COUNTS, PASSES, write

MINDIE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "two phases": (
        lambda folder: (folder / "prefill_0.csv").write_text("1,2,3,4\n" * 4),
        "input: the files are of two phases. Got: decode and prefill. Expected: one of them. Next: name one folder.",
    ),
    "a block that was cut off": (
        lambda folder: (folder / "decode_1.csv").write_text("1,2,3,4\n" * 3),
        "decode_1.csv: the rows are no whole blocks. Got: 3 rows. Expected: blocks of 2, one row for each layer. Next:"
        " copy the file again, or correct --layers.",
    ),
    "a rank that stopped early": (
        lambda folder: (folder / "decode_1.csv").write_text("1,2,3,4\n" * 8),
        "input: a block was not recorded by every rank. Got: no block 4 by rank 1; 124 of 128 blocks are incomplete."
        " Expected: each by ranks 0 .. 1. Next: give every rank's file, or --skip-incomplete to leave such blocks out.",
    ),
    "no description": (
        lambda folder: (folder / "model_gen_config.json").unlink(),
        "decode_0.csv: the number of layers is not known. Got: no model_gen_config.json. Expected: rows of a block."
        " Next: put model_gen_config.json beside the files, or give --layers, as 3-60.",
    ),
    "experts that were placed": (
        lambda folder: (folder / "model_gen_config.json").write_text(
            '{"num_moe_layers": 2, "num_of_experts": 8, "eplb_expert_map_file": "map.json"}'
        ),
        "decode_0.csv: experts were placed while recording. Got: model_gen_config.json names map.json. Expected: that"
        " file, with --map. Next: give --map FILE.",
    ),
}


@pytest.mark.parametrize("case", MINDIE)
def test_a_wrong_dump_of_mindie_is_refused(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spoil, text = MINDIE[case]
    write("mindie", tmp_path / "in")
    spoil(tmp_path / "in")
    assert refusal(tmp_path, capsys, "--from", "mindie", tmp_path / "in") == text


def test_experts_that_contradict_the_description_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write("mindie", tmp_path / "in")
    assert refusal(tmp_path, capsys, "--from", "mindie", tmp_path / "in", "--experts", 16) == (
        "convert: --experts is not the model's. Got: --experts 16. Expected: 8, the num_of_experts of"
        " model_gen_config.json. Next: leave --experts out."
    )


def test_devices_of_shared_experts_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("mindie", tmp_path / "in")
    for rank in (1, 0):
        (tmp_path / "in" / f"decode_{rank}.csv").rename(tmp_path / "in" / f"decode_{rank + 1}.csv")
    (tmp_path / "in" / "decode_0.csv").write_text("9\n" * (PASSES * 2))
    config = {"num_moe_layers": 2, "num_of_experts": 8, "num_dangling_shared_experts": 1}
    (tmp_path / "in" / "model_gen_config.json").write_text(json.dumps(config))
    assert convert(tmp_path, "--from", "mindie", tmp_path / "in") == 0
    assert np.array_equal(result(tmp_path), COUNTS)
    assert "rank 0 left out: devices of shared experts alone" in notes(capsys)
