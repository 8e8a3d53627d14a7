"""Frequencies without tokens: read from tables of several forms, planned from, and refused when malformed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lab.commands.main import main
from lab.planning.plan_file import load_plan
from lab.traces.loads import loads_in
from placement.errors import Problem

# Layer 0 is dense.
TABLE = np.array([[0, 0, 0, 0], [5.5, 0, 1, 2], [3, 4, 0, 1]])


def _saved(folder: Path, form: str, table: np.ndarray = TABLE) -> Path:
    path = folder / f"f.{form}"
    if form == "npy":
        np.save(path, table)
    elif form == "npz":
        np.savez(path, logical_count=table, workload=np.array(["a"]))
    elif form == "json":
        path.write_text(json.dumps({"logical_count": table.tolist()}))
    else:
        rows = [f"{layer},{expert},{table[layer, expert]}" for layer, expert in np.argwhere(table)]
        path.write_text("\n".join(["layer,expert,count", *rows]) + "\n")
    return path


@pytest.mark.parametrize("form", ["npy", "npz", "json", "csv"])
def test_a_table_of_each_form_is_read_without_its_dense_layers(form: str, tmp_path: Path) -> None:
    found = loads_in(_saved(tmp_path, form))
    assert (found.experts, found.layers) == (4, (1, 2))
    assert [found.of(layer).tolist() for layer in range(2)] == [[row.tolist()] for row in TABLE[1:]]


def test_several_workloads_are_batches(tmp_path: Path) -> None:
    found = loads_in(_saved(tmp_path, "npz", np.stack([TABLE, 2 * TABLE])))
    assert found.of(1).tolist() == [TABLE[2].tolist(), (2 * TABLE[2]).tolist()]


def test_a_plan_is_made_from_frequencies(tmp_path: Path) -> None:
    options = ["--grid", "2x1", "--slots", "3", "--output", str(tmp_path / "plan.npz")]
    assert main(["plan", str(_saved(tmp_path, "npy")), *options]) == 0
    plan = load_plan(tmp_path / "plan.npz")
    assert plan.layers == (1, 2) and plan.experts == 4 and plan.table.shape == (2, 2, 3)
    # The load of 5.5 of 8.5 has three of six slots.
    assert np.bincount(plan.table[0].ravel()).tolist() == [3, 1, 1, 1]


@pytest.mark.parametrize(
    ("form", "table", "words"),
    [
        ("npy", -TABLE, r"f.npy: a frequency is out of range. Got: -5.5 at layer 1, expert 0 \(from 0\)"),
        ("npy", TABLE * np.nan, "a frequency is out of range. Got: nan at layer 0, expert 0"),
        ("npy", TABLE[0], r"the frequencies have another form. Got: float64 \[4\]"),
        ("npy", TABLE.astype(str), r"the frequencies have another form. Got: <U32 \[1, 3, 4\]"),
        ("npy", TABLE > 0, r"the frequencies have another form. Got: bool \[1, 3, 4\]"),
        ("npz", TABLE * 0, "f.npz: no layer routes a token"),
    ],
)
def test_a_malformed_table_is_refused_with_the_place(form: str, table: np.ndarray, words: str, tmp_path: Path) -> None:
    with pytest.raises(Problem, match=words):
        loads_in(_saved(tmp_path, form, table))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("layer,expert\n0,1\n", "a column is missing. Got: layer, expert. Expected: the columns count"),
        ("layer,expert,count\n0,1,x\n", "line 2 is no count. Got: could not convert string to float"),
        ("layer,expert,count\n0,1.5,2\n", "line 2 is no count. Got: invalid literal"),
        ("layer,expert,count\n0,-1,2\n", "line 2 is no count. Got: an id below 0"),
        ("layer,expert,count\n0,1,2\n0,1,3\n", "an expert is there twice. Got: layer 0, expert 1"),
        ("layer,expert,count\n", "the file holds no counts"),
    ],
)
def test_a_malformed_csv_is_refused(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text(text)
    with pytest.raises(Problem, match=words):
        loads_in(tmp_path / "f.csv")


@pytest.mark.parametrize(("name", "text", "got"), [("f.txt", "text", "f.txt"), ("f.json", "[1]", "f.json")])
def test_a_file_of_another_kind_is_refused(name: str, text: str, got: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(Problem, match=rf"holds no frequencies\. Got: {got}\. .* Next: make a trace of requests with"):
        loads_in(tmp_path / name)
