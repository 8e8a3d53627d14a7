"""Placement files of engines: written and read they hold the same table, and what does not fit is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from deployments import forms
from deployments.apart import apart, twice
from deployments.deepseek import deepseek_arrays
from deployments.fitting import sizes_in_words, table_for
from deployments.forms import FORMS, read_placement, usage_line, write_placement
from placement.balance import device_loads
from placement.errors import Problem
from placement.grid import Case
from placement.traces.yaml_file import parse_yaml

# 2 layers of 4 experts and 2 redundant ones on 2 devices.
TABLE = np.array([[[3, 0, 1], [2, 0, 3]], [[0, 1, 2], [3, 1, 0]]])
NUMBERS = (1, 3)


def case_of(table: np.ndarray, experts: int, ep: int | None = None) -> Case:
    layers, devices, slots = table.shape
    ep = ep or devices
    redundant = devices * slots - experts
    return Case("M", "d", ep, redundant, layers, experts, window=3, latency=0)


def written(folder: Path, form: str, table: np.ndarray = TABLE, experts: int = 4, numbers: object = NUMBERS) -> Path:
    path = folder / f"file{FORMS[form].suffix}"
    write_placement(path, form, table, experts, numbers)
    return path


def said(refused: Callable[[], object]) -> str:
    with pytest.raises(Problem) as caught:
        refused()
    return str(caught.value)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("experts", "redundant", "devices"), [(8, 4, 4), (8, 0, 4), (9, 7, 8), (6, 30, 3), (5, 3, 8)])
def test_what_is_written_is_read_as_the_same_table(
    form: str, experts: int, redundant: int, devices: int, tmp_path: Path
) -> None:
    random = np.random.default_rng(experts)
    flat = [np.concatenate([np.arange(experts), random.integers(0, experts, redundant)]) for _ in range(3)]
    table = np.stack([random.permutation(row) for row in flat]).reshape(3, devices, -1)
    rows = read_placement(written(tmp_path, form, table, experts, (2, 4, 5)))
    assert rows.form == form
    assert np.array_equal(table_for(rows, case_of(table, experts), (2, 4, 5)), table)


def test_sglangs_file_has_a_row_for_each_of_the_models_layers(tmp_path: Path) -> None:
    content = json.loads(written(tmp_path, "sglang").read_bytes())
    dense = [0, 1, 2, 3, 0, 1]
    assert content == {"physical_to_logical_map": [dense, [3, 0, 1, 2, 0, 3], dense, [0, 1, 2, 3, 1, 0]]}


def test_vllms_file_has_a_row_for_each_layer_with_experts(tmp_path: Path) -> None:
    path = written(tmp_path, "vllm", numbers=None)
    assert json.loads(path.read_bytes()) == [[3, 0, 1, 2, 0, 3], [0, 1, 2, 3, 1, 0]]
    path.write_text("[0, 1, 2, 3, 3, 2]")
    shared = table_for(read_placement(path), case_of(TABLE, 4), None)
    assert shared.tolist() == [[[0, 1, 2], [3, 3, 2]]] * 2


def test_tensorrt_llms_file_has_the_models_layer_numbers(tmp_path: Path) -> None:
    assert parse_yaml(written(tmp_path, "trtllm").read_bytes()) == {
        "num_slots": 6,
        "initial_global_assignments": {1: [3, 0, 1, 2, 0, 3], 3: [0, 1, 2, 3, 1, 0]},
        "layer_updates_per_iter": 0,
    }


def test_vllm_ascends_file_counts_layers_with_experts_from_0(tmp_path: Path) -> None:
    content = json.loads(written(tmp_path, "vllm-ascend").read_bytes())
    second = [{"device_id": 0, "device_expert": [0, 1, 2]}, {"device_id": 1, "device_expert": [3, 1, 0]}]
    assert (content["moe_layer_count"], len(content["layer_list"])) == (2, 2)
    assert content["layer_list"][1] == {"layer_id": 1, "device_count": 2, "device_list": second}


def test_deepseeks_arrays_name_every_slot_of_an_expert() -> None:
    arrays = deepseek_arrays(TABLE, 4)
    assert arrays["phy2log"][0].tolist() == [3, 0, 1, 2, 0, 3]
    assert arrays["log2phy"][0].tolist() == [[1, 4], [2, -1], [3, -1], [0, 5]]
    assert arrays["logcnt"].tolist() == [[2, 1, 1, 2], [2, 2, 1, 1]]


def test_a_layer_is_found_by_its_number_in_the_model(tmp_path: Path) -> None:
    one = case_of(TABLE[:1], 4)
    for form in ("sglang", "trtllm"):
        rows = read_placement(written(tmp_path, form))
        assert table_for(rows, one, (3,)).tolist() == TABLE[1:].tolist()
    assert said(lambda: table_for(rows, one, (2,))) == (
        "file.yaml: the placement does not fit M/d ep 2. Got: no row for layer 2, rows for 1 .. 3. "
        "Expected: the model's layers 2 .. 2. Next: correct --layers."
    )


def test_rows_that_may_be_dense_are_not_guessed(tmp_path: Path) -> None:
    rows = read_placement(written(tmp_path, "sglang", numbers=(2, 3)))
    assert said(lambda: table_for(rows, case_of(TABLE, 4), None)) == (
        "file.json: the placement does not fit M/d ep 2. Got: 4 rows. Expected: 2, one for each layer of the case. "
        "Next: name the case's layers with --layers, as --layers 2-3 where the model begins with dense layers."
    )
    assert table_for(rows, case_of(TABLE, 4), (2, 3)).tolist() == TABLE.tolist()


def test_numbers_that_a_form_needs_are_asked_for(tmp_path: Path) -> None:
    assert said(lambda: written(tmp_path, "trtllm", numbers=None)) == (
        "trtllm needs the model's layer numbers. Got: none in the traces' manifest. Expected: the model's numbers of "
        "its 2 layers with experts. Next: give the numbers, as --layers 3-4 where the model begins with three dense "
        "layers, or "
        "--layers 0-1 without dense layers."
    )
    assert list(tmp_path.iterdir()) == []


def test_layer_numbers_out_of_order_are_refused(tmp_path: Path) -> None:
    assert said(lambda: written(tmp_path, "sglang", numbers=(3, 1))) == (
        "the layer numbers are out of order. Got: 3, 1. Expected: ascending ones, as the layers stand in the model. "
        "Next: correct --layers."
    )


def test_a_file_whose_name_the_engine_would_take_otherwise_is_refused(tmp_path: Path) -> None:
    assert said(lambda: write_placement(tmp_path / "map.txt", "sglang", TABLE, 4, NUMBERS)) == (
        "the file's name has the wrong ending. Got: map.txt. Expected: .json for sglang. Next: name the file map.json."
    )


def test_a_file_of_another_size_is_refused(tmp_path: Path) -> None:
    rows = read_placement(written(tmp_path, "npy"))
    assert sizes_in_words(rows) == "2 layers, 4 experts and 2 redundant ones on 2 devices"
    flat = read_placement(written(tmp_path, "vllm"))
    assert sizes_in_words(flat) == "2 layers, 4 experts and 2 redundant ones on a number of devices that divides 6"
    assert sizes_in_words(read_placement(written(tmp_path, "sglang"))).startswith("at most 4 layers, 4 experts")
    three = case_of(TABLE, 4, ep=3)
    assert said(lambda: table_for(rows, three, None)) == (
        "file.npy: the placement does not fit M/d ep 3 +2. Got: 6 slots a layer on 2 devices. "
        "Expected: 6 slots on 3 devices. Next: name a case that the file fits."
    )
    assert table_for(flat, three, None).tolist() == TABLE.reshape(2, 3, 2).tolist()
    five = Case("M", "d", 2, 1, 2, 5, window=3, latency=0)
    assert "Got: no slot with expert 4 in layer 0. Expected: each of the 5 experts in a slot" in said(
        lambda: table_for(rows, five, None)
    )


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (
            {"physical_to_logical_map": [[0, 1]], "layers": [3]},
            "SGLang's file has a key that SGLang does not take. Got: 'layers'.",
        ),
        (
            {"physical_to_logical_map": [[0, 1], [0]]},
            "physical_to_logical_map has layers of several sizes. Got: 1 and 2 slots.",
        ),
        ({"physical_to_logical_map": [[0, True]]}, "row 0 of physical_to_logical_map holds no expert id. Got: True."),
        ([[0, -1]], "row 0 of the map holds no expert id. Got: -1."),
        ([], "the map is no list of lists"),
        ({"logical_count": [[1]]}, "the file holds loads, not a placement. Got: the keys ['logical_count']."),
        ({"x": 1}, "the file has none of the known forms. Got: the keys ['x']."),
        ("text", "the file has none of the known forms. Got: str."),
        (
            {"num_slots": 3, "initial_global_assignments": {3: [0, 1]}},
            "num_slots is not the length of the lists. Got: 3. Expected: 2. Next: correct num_slots.",
        ),
        (
            {"moe_layer_count": 2, "layer_list": [{}]},
            "layer_list has another length than moe_layer_count states. Got: 1 layers",
        ),
        (
            {"moe_layer_count": 2, "layer_list": [{"layer_id": 1}, {"layer_id": 0}]},
            "layer_list is not in order. Got: layer_id [1, 0]. Expected: ascending ones: the place in the list counts.",
        ),
        ({"moe_layer_count": 1, "layer_list": [{}]}, "layer_list[0] has the wrong form. Got: KeyError: 'device_list'."),
        (
            {"moe_layer_count": 1, "layer_list": [{"device_list": [{"device_id": 1, "device_expert": [0]}]}]},
            "layer_list[0] has the wrong devices. Got: device_id [1] of None.",
        ),
    ],
)
def test_a_file_with_another_content_is_refused(content: object, text: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text(yaml.safe_dump(content))
    assert said(lambda: read_placement(path)).startswith(f"file: {text}")


def test_arrays_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    arrays = deepseek_arrays(TABLE, 4)
    arrays["logcnt"][0] = [1, 2, 1, 2]
    np.savez(tmp_path / "a.npz", **arrays)
    assert "a.npz: logcnt does not fit phy2log" in said(lambda: read_placement(tmp_path / "a.npz"))
    arrays = deepseek_arrays(TABLE, 4)
    arrays["log2phy"][0, 0] = [1, 3]
    np.savez(tmp_path / "a.npz", **arrays)
    assert "a.npz: log2phy does not fit phy2log" in said(lambda: read_placement(tmp_path / "a.npz"))
    np.savez(tmp_path / "a.npz", plan=TABLE)
    assert "Next: python -m lab export-placement writes a plan's." in said(lambda: read_placement(tmp_path / "a.npz"))


def test_a_file_that_is_larger_than_a_placement_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forms, "LARGEST_BYTES", 2000)
    np.savez_compressed(tmp_path / "a.npz", phy2log=np.zeros((100, 100), np.int64))
    np.save(tmp_path / "a.npy", np.zeros((1, 100, 100), np.int64))
    assert (tmp_path / "a.npz").stat().st_size < 2000
    for name in ("a.npz", "a.npy"):
        assert said(lambda name=name: read_placement(tmp_path / name)) == (
            f"{name}: the file is not a placement. Got: 80128 bytes. Expected: at most 2000. Next: name a deployment's"
            " file."
        )


def test_damaged_files_are_a_sentence(tmp_path: Path) -> None:
    for name, data in {
        "a.npy": b"\x93NUMPY\x01",
        "a.npz": b"PK\x03\x04",
        "a.json": b"\xff{",
        "b.json": b"{" * 9,
    }.items():
        (tmp_path / name).write_bytes(data)
        assert said(lambda name=name: read_placement(tmp_path / name)).startswith(f"{name}: the ")
    np.save(tmp_path / "a.npy", TABLE * 0.5)
    assert "a.npy: the array is no deployment table. Got: float64 [2, 2, 3]." in said(
        lambda: read_placement(tmp_path / "a.npy")
    )


def test_an_expert_twice_on_a_device_is_exchanged_where_the_busiest_device_stays_as_it_is() -> None:
    # Shares 10, 4, 4: expert 1 lies twice on device 1; its exchange with expert 3 of device 0 changes no load.
    table = np.array([[[0, 3], [1, 1], [2, 0]]])
    hotness = np.array([[20, 8, 9, 4]])
    assert twice(table) == [(0, 1, 1)]
    mended, count = apart(table, hotness, None)
    assert (mended.tolist(), count) == ([[[0, 1], [1, 3], [2, 0]]], 1)
    before, after = (device_loads(hotness.T, rows).ravel().tolist() for rows in (table[0], mended[0]))
    assert before == after == [14, 8, 19]


def test_an_expert_twice_on_a_device_is_refused_where_an_exchange_costs() -> None:
    # Whatever device 0 takes for its second expert 0 makes one of the two busier than 10.
    table, hotness = np.array([[[0, 0], [1, 2]]]), np.array([[10, 9, 1]])
    assert said(lambda: apart(table, hotness, (3,))) == (
        "layer 3: this engine takes an expert only once on a device. Got: expert 0 twice on device 0; no exchange with "
        "another device keeps the busiest device's load. Expected: once. "
        "Next: plan with each expert at most once on a device."
    )
    assert "layer 0: " in said(lambda: apart(table, None, None))
    assert "at most 2 replicas" in said(lambda: apart(np.array([[[0, 0], [0, 1]]]), np.array([[9, 9]]), None))


def test_two_experts_that_lie_twice_end_in_one_exchange() -> None:
    mended, count = apart(np.array([[[0, 0], [1, 1]]]), np.array([[6, 6]]), None)
    assert (sorted(map(sorted, mended[0].tolist())), count) == ([[0, 1], [0, 1]], 1)


def test_the_options_of_an_engine_are_shown(tmp_path: Path) -> None:
    assert usage_line(tmp_path / "a.json", "sglang", 32) == (
        f"--init-expert-location {tmp_path / 'a.json'} --ep-num-redundant-experts 32"
    )
    assert json.loads(usage_line(tmp_path / "a.json", "vllm", 32).split("'")[1]) == {
        "initial_expert_map_path": str(tmp_path / "a.json"),
        "num_redundant_experts": 32,
    }


def test_a_cut_file_of_json_is_said_to_be_cut(tmp_path: Path) -> None:
    (tmp_path / "cut.json").write_text('{"physical_to_logical_map": [[0, 1')
    with pytest.raises(Problem) as raised:
        read_placement(tmp_path / "cut.json")
    assert str(raised.value) == (
        "cut.json: the file cannot be read. Got: JSONDecodeError: Expecting ',' delimiter: line 1 column 35 (char 34)."
        " Expected: complete JSON. Next: copy the file again, or write it again."
    )
