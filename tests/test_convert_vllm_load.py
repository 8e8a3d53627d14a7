"""kit.py convert, vLLM's expert load: snapshots of slots, each folded with its map."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import kit
from conversions import result

LAYERS, EXPERTS, SLOTS, STEPS = 2, 6, 8, 5
MAP = np.array([[0, 1, 2, 3, 4, 5, 0, 1], [5, 4, 3, 2, 1, 0, 5, 5]])
MOVED = np.array([[0, 1, 2, 3, 4, 5, 4, 2], [0, 1, 2, 3, 4, 5, 1, 1]])
HOTNESS = np.random.default_rng(3).integers(10, 90, (STEPS, LAYERS, EXPERTS)) * 6


def slots_of(counts: np.ndarray, experts: np.ndarray) -> np.ndarray:
    """Loads [layer, slot] of counts [layer, expert] that replicas share evenly."""
    replicas = np.array([np.bincount(row, minlength=EXPERTS) for row in experts])
    return np.take_along_axis(counts // replicas, experts, axis=1)


def snapshot(number: int, experts: np.ndarray = MAP, served: np.ndarray | None = None, **keys: Any) -> dict[str, Any]:
    """Of a step; experts: the map that is written, served: that of the load."""
    load = slots_of(HOTNESS[number], experts if served is None else served)
    entry = {"step": 100 * number, "window_expert_load": load.tolist(), "latest_expert_load": (load // 6).tolist()}
    return entry | {"physical_to_logical_map": experts.tolist()} | keys


def dump(folder: Path, snapshots: Any = None, **keys: Any) -> Path:
    sizes = {"num_moe_layers": LAYERS, "num_physical_experts": SLOTS, "num_logical_experts": EXPERTS}
    entries = [snapshot(number) for number in range(STEPS)] if snapshots is None else snapshots
    path = folder / "M_expert_load.json"
    path.write_text(json.dumps(sizes | {"window_size": 100, "snapshots": entries} | keys), encoding="utf-8")
    return path


def convert(folder: Path, file: Path, *options: object) -> int:
    where = ["--output", str(folder / "out"), "--model", "M", "--dataset", "d", "--licence", "CC0-1.0"]
    return kit.main(["convert", "--from", "vllm-load", str(file), *map(str, options), *where])


def told(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line.removeprefix("note: ") for line in capsys.readouterr().out.splitlines()[1:]]


def test_a_snapshot_is_an_iteration_folded_with_its_map(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert(tmp_path, dump(tmp_path), "--layers", "1-2") == 0
    assert np.array_equal(result(tmp_path), HOTNESS)
    kept = yaml.safe_load((tmp_path / "out" / "manifest.yaml").read_text(encoding="utf-8"))["traces"]["M/d"]
    assert kept["layers"] == [1, 2]
    assert kept["origin"].endswith("; vLLM expert load, 5 snapshots, window_expert_load; kit.py convert")


def test_the_last_step_is_taken_when_that_is_wanted(tmp_path: Path) -> None:
    assert convert(tmp_path, dump(tmp_path), "--latest") == 0
    expected = [np.zeros((LAYERS, EXPERTS), int) for _ in range(STEPS)]
    for number, counts in enumerate(expected):
        for layer in range(LAYERS):
            np.add.at(counts[layer], MAP[layer], slots_of(HOTNESS[number], MAP)[layer] // 6)
    assert np.array_equal(result(tmp_path), expected)


def test_lines_are_read_as_a_list_is(tmp_path: Path) -> None:
    path = tmp_path / "load.jsonl"
    lines = [{"num_logical_experts": EXPERTS}, *(snapshot(number) for number in range(STEPS))]
    path.write_text("\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")
    assert convert(tmp_path, path) == 0
    assert np.array_equal(result(tmp_path), HOTNESS)


@pytest.mark.parametrize(
    ("window", "note"),
    [
        (
            250,
            "windows of 250 steps, as little as 100 steps apart: a token is counted in up to 3 snapshots; --latest"
            " takes the last step of each alone",
        ),
        (60, "windows of 60 steps, up to 100 steps apart: what lies between is not counted"),
    ],
    ids=["overlap", "gaps"],
)
def test_windows_that_do_not_meet_are_told(
    window: int, note: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert convert(tmp_path, dump(tmp_path, window_size=window)) == 0
    assert note in told(capsys)


def test_a_map_that_changes_folds_the_snapshots_from_then_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entries = [snapshot(number, MOVED if number > 2 else MAP) for number in range(STEPS)]
    assert convert(tmp_path, dump(tmp_path, entries)) == 0
    assert np.array_equal(result(tmp_path), HOTNESS)
    (note,) = [note for note in told(capsys) if "moved" in note]
    assert note.startswith(
        "experts moved before 1 snapshot of 5, the first 3 (from 0); each is folded with its own map, in which loads of"
        " replicas differ from their mean by 0%, with the map before by "
    )
    assert "--map-before" not in note


def test_loads_of_the_map_before_are_told_and_folded_with_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    maps = [MAP, MAP, MAP, MOVED, MOVED, MOVED]
    entries = [snapshot(number, maps[number + 1], served=maps[number]) for number in range(STEPS)]
    path = dump(tmp_path, entries)
    assert convert(tmp_path, path) == 0
    (note,) = [note for note in told(capsys) if "moved" in note]
    assert note.endswith(
        " with the map before by 0%: the loads seem to be of the map before, as where a snapshot is written after the"
        " move; --map-before folds with that one"
    )
    assert convert(tmp_path, path, "--map-before", "--replace") == 0
    assert np.array_equal(result(tmp_path), HOTNESS[1:])
    assert "--map-before: folded with the map of the snapshot before; the first of 5 left out" in told(capsys)


MALFORMED = {
    "no snapshots": (
        {"snapshots": []},
        "M_expert_load.json: snapshots has the wrong form. Got: no snapshot. Expected: a list of objects.",
    ),
    "another number of layers": (
        {"num_moe_layers": 3},
        "M_expert_load.json: the snapshots do not fit the model. Got: 2 in the snapshots. Expected: 3, as"
        " num_moe_layers says.",
    ),
    "another number of experts": (
        {"num_logical_experts": 7},
        "M_expert_load.json, snapshots[0]: the map does not fit the model. Got: 6 experts. Expected: 7, as"
        " num_logical_experts says.",
    ),
    "a map of other slots": (
        {"snapshots": [snapshot(0, physical_to_logical_map=MAP[:, 1:].tolist())]},
        "M_expert_load.json, snapshots[0]: window_expert_load does not fit physical_to_logical_map. Got: [layer, slot]"
        " [2, 8]. Expected: [layer, slot] [2, 7].",
    ),
    "a map without an expert": (
        {"snapshots": [snapshot(0, physical_to_logical_map=np.where(MAP == 3, 2, MAP).tolist())]},
        "M_expert_load.json, snapshots[0], physical_to_logical_map: the map leaves an expert out. Got: no slot for"
        " expert 3 in layer 0 (from 0). Expected: each of 6 experts in every layer.",
    ),
    "replicas above the largest count": (
        {"snapshots": [snapshot(0, window_expert_load=np.full_like(MAP, 2**30 + 1).tolist())]},
        "M_expert_load.json, snapshots[0]: a count is out of range. Got: 2147483650 at layer 0, expert 0 (from 0)."
        " Expected: a whole number in 0 .. 2147483647. Next: record again, or export the counts of tokens as they were"
        " counted.",
    ),
    "snapshots of two models": (
        {
            "snapshots": [
                snapshot(0),
                snapshot(1, physical_to_logical_map=MAP[:1].tolist(), window_expert_load=MAP[:1].tolist()),
            ]
        },
        "M_expert_load.json, snapshots[1]: the snapshot is of another model. Got: [layer, slot] [1, 8]. Expected:"
        " [2, 8] as in the first.",
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_dump_is_refused(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys, text = MALFORMED[case]
    assert convert(tmp_path, dump(tmp_path, **keys)) == 2
    compare = " Next: compare the file with the form in starting_kit/traces/conversion/README.md."
    compare = "" if "Next: " in text else compare
    assert capsys.readouterr().err == f"kit.py convert: error: {text}{compare}\n"
    assert not (tmp_path / "out").exists()


def test_a_line_that_is_no_object_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "load.jsonl"
    path.write_text(json.dumps(snapshot(0)) + "\n[1]\n", encoding="utf-8")
    assert convert(tmp_path, path) == 2
    assert capsys.readouterr().err == (
        "kit.py convert: error: load.jsonl, line 2: the line has the wrong form. Got: a list. Expected: an object."
        " Next: correct the line, or record again.\n"
    )


def test_steps_that_do_not_ascend_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert(tmp_path, dump(tmp_path, [snapshot(1), snapshot(0)])) == 2
    assert capsys.readouterr().err == (
        "kit.py convert: error: M_expert_load.json, snapshots[1]: the snapshots are not in order. Got: step 0 behind"
        " step 100. Expected: ascending steps. Next: convert each run by itself.\n"
    )
