"""kit.py convert, views of slots and experts of vllm-ascend, and the maps that they are folded with."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import torch_files
from conversions import convert, notes, refusal, result
from dumps import COUNTS, EXPERTS, PASSES, write


def test_views_of_slots_are_folded_with_a_map(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    # Two devices of three slots for four experts; expert 0 and, in the other layer, expert 3 have two slots.
    table = np.array([[[0, 1, 0], [2, 3, 1]], [[3, 2, 1], [0, 3, 1]]])
    views = np.arange(4 * 2 * 6).reshape(4, 2, 2, 3)
    for number, view in enumerate(views):
        np.save(tmp_path / "in" / f"moe_load_{number}.npy", view)
    np.save(tmp_path / "map.npy", table)
    layers = [
        {"device_list": [{"device_id": n, "device_expert": row.tolist()} for n, row in enumerate(rows)]}
        for rows in table
    ]
    (tmp_path / "map.json").write_text(json.dumps({"moe_layer_count": 2, "layer_list": layers}))
    for file in ("map.npy", "map.json"):
        assert convert(tmp_path, "--from", "vllm-ascend", tmp_path / "in", "--map", tmp_path / file, "--replace") == 0
        assert result(tmp_path)[1].tolist() == [[12 + 14, 13 + 17, 15, 16], [21, 20 + 23, 19, 18 + 22]]
        assert "slots folded to experts with --map: right only while that deployment stood" in notes(capsys)


def test_stages_of_a_view_are_iterations(tmp_path: Path) -> None:
    path = torch_files.save(tmp_path / "view.pt", COUNTS.reshape(PASSES, 2, 2, 4))
    assert convert(tmp_path, "--from", "vllm-ascend", path, "--experts", EXPERTS) == 0
    assert np.array_equal(result(tmp_path), COUNTS)


def test_views_of_experts_need_no_map(tmp_path: Path) -> None:
    paths = [torch_files.save(tmp_path / f"view_{n}.pt", {"expert_load_view": view}) for n, view in enumerate(COUNTS)]
    assert convert(tmp_path, "--from", "vllm-ascend", *paths) == 0
    assert np.array_equal(result(tmp_path), COUNTS)


def test_flat_views_of_slots_are_folded_where_that_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [tmp_path / f"view_{n}.npy" for n in range(3)]
    for n, path in enumerate(paths):
        np.save(path, np.array([[1, 2, 4, 8]]) << n)
    np.save(tmp_path / "map.npy", np.array([[2, 0, 1, 0]]))
    assert convert(tmp_path, "--from", "vllm-ascend", *paths, "--map", tmp_path / "map.npy") == 0
    assert result(tmp_path).tolist() == [[[10, 4, 1]], [[20, 8, 2]], [[40, 16, 4]]]
    assert "slots folded to experts with --map: right only while that deployment stood" in notes(capsys)
    assert refusal(tmp_path / "other", capsys, "--from", "vllm-ascend", *paths, "--experts", 3).startswith(
        "view_0.npy: the counts are of slots. Got: 4 slots in a layer, --experts 3, no --map. Expected: the experts"
    )


def test_rows_of_a_map_of_the_whole_model_are_told_by_layers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write("vllm-ascend", tmp_path / "in")
    # Row 0 is a dense layer's; layer 2 has the experts the other way round.
    rows = [[*range(8)], [*range(8)], [*range(7, -1, -1)]]
    (tmp_path / "map.json").write_text(json.dumps({"physical_to_logical_map": rows}))
    arguments = ["--from", "vllm-ascend", tmp_path / "in", "--map", tmp_path / "map.json"]
    assert refusal(tmp_path, capsys, *arguments) == (
        "moe_load_0.npy: --map does not fit the counts. Got: 3 rows. Expected: [layer, slot] [2, 8] as the counts have."
        " Next: name the layers of the counts with --layers, as --layers 3-60."
    )
    assert convert(tmp_path, *arguments, "--layers", "1-2") == 0
    assert np.array_equal(result(tmp_path), np.stack([COUNTS[:, 0], COUNTS[:, 1, ::-1]], axis=1))


def test_slots_without_a_map_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("vllm-ascend", tmp_path / "in")
    assert refusal(tmp_path, capsys, "--from", "vllm-ascend", tmp_path / "in") == (
        "moe_load_0.npy: the counts are of slots. Got: 8 slots in a layer, no --map. Expected: the experts that the"
        " slots held, or as many experts as slots. Next: give --map FILE, the deployment while recording; or --experts"
        " N where no expert had two slots or was moved."
    )


WRONG_MAPS = {
    "other slots": (
        [[0, 1, 2]] * 2,
        "--map does not fit the counts. Got: [layer, slot] [2, 3]. Expected: [layer, slot] [2, 8] as the counts have",
    ),
    "an expert left out": (
        [[0, 1, 2, 3, 4, 5, 7, 7]] * 2,
        "--map leaves an expert out. Got: no slot for expert 6 in layer 0 (from 0). Expected: each of 8 experts",
    ),
    "no expert": (
        [[0, 1, 2, 3, 4, 5, 6, 8]] * 2,
        "--map names ids that are not experts. Got: experts 0 .. 8. Expected: 0 .. 7",
    ),
}


@pytest.mark.parametrize("case", WRONG_MAPS)
def test_a_map_that_does_not_fit_is_refused(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table, text = WRONG_MAPS[case]
    options = [*write("vllm-ascend", tmp_path / "in"), "--map", tmp_path / "map.npy"]
    np.save(tmp_path / "map.npy", np.array(table))
    assert refusal(tmp_path, capsys, "--from", "vllm-ascend", tmp_path / "in", *options) == (
        f"moe_load_0.npy: {text}. Next: give the deployment that stood while recording."
    )
