"""kit.py convert, choices that tell their step, and lists of passes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conversions import convert, notes, refusal, result
from dumps import COUNTS, EXPERTS, IDS, LAYERS, lines, traced, write


def test_routes_that_tell_their_iteration_are_read_without_a_model_of_batching(tmp_path: Path) -> None:
    routes = [
        {
            "iteration": step,
            "req_id": f"r{token}",
            "token": 0,
            "layer": LAYERS[place],
            "topk": IDS[step, place, token].tolist(),
        }
        for step, place, token in np.ndindex(*IDS.shape[:3])
    ]
    path = lines(tmp_path / "routes.jsonl", [{"type": "meta"}, *routes])
    assert convert(tmp_path, "--from", "steps", path, "--experts", EXPERTS) == 0
    assert np.array_equal(result(tmp_path), COUNTS)


STEP_LINES: dict[str, tuple[list[dict[str, Any]], str]] = {
    "another number of tokens in a layer": (
        [*traced()[:-1], traced()[-1] | {"top_indices": [[1, 2]]}],
        "input: a step's layers have other tokens. Got: 1 and 4 tokens in layers of step 127. Expected: as many in"
        " every layer. Next: give every rank's file, or --skip-incomplete to leave such steps out.",
    ),
    "no step": (
        [{"layer": 3, "topk_ids": [1, 2]}],
        "r.jsonl, line 1: the line has other keys. Got: layer, topk_ids. Expected: layer, one of step, iteration,"
        " batch_id and one of top_indices, topk_experts, topk_ids, topk. Next: correct the line, or record again.",
    ),
    "an expert that is none": (
        [{"step": 0, "layer": 3, "topk": [[1, 2], [1, 8]]}],
        "r.jsonl, line 1, step 0, layer 3: topk holds a wrong choice. Got: token 1 chose expert 8. Expected: 0 .. 7."
        " Next: correct --experts, or record again.",
    ),
    "a token twice": (
        [{"step": 0, "layer": 3, "token": 1, "topk": [1, 2]}] * 2,
        "r.jsonl, line 2: a token is there twice. Got: token 1 of step 0, layer 3 again. Expected: each once. Next:"
        " correct the line, or record again.",
    ),
}


@pytest.mark.parametrize("case", STEP_LINES)
def test_wrong_lines_of_steps_are_refused(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    objects, text = STEP_LINES[case]
    path = lines(tmp_path / "r.jsonl", objects)
    assert refusal(tmp_path, capsys, "--from", "steps", path, "--experts", EXPERTS) == text


def test_passes_of_several_files_follow_one_another_and_null_layers_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write("steps", tmp_path / "in")
    (tmp_path / "in" / "passes_2.json").write_bytes((tmp_path / "in" / "passes.json").read_bytes())
    assert convert(tmp_path, "--from", "steps", tmp_path / "in", "--experts", EXPERTS) == 0
    assert np.array_equal(result(tmp_path), np.concatenate([COUNTS, COUNTS]))
    assert notes(capsys)[:2] == [
        "256 passes in order, each an iteration",
        "layers 0 are null in every pass and left out",
    ]
