"""kit.py convert, dumps of other engines: what is the same in every form."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest

import dumps
from commands.dump_forms import FORMATS
from conversions import convert, notes, result
from dumps import COUNTS, EXPERTS, IDS, LAYERS, WRITERS, lines, write

# vLLM's one request has a token in an iteration.
FIRST = np.array([[np.bincount(ids[0], minlength=EXPERTS) for ids in step] for step in IDS])


@pytest.mark.parametrize("form", WRITERS)
def test_every_form_is_read_to_the_same_counts(form: str, tmp_path: Path) -> None:
    options = write(form, tmp_path / "in")
    assert convert(tmp_path, "--from", form, tmp_path / "in", *options) == 0
    assert np.array_equal(result(tmp_path), FIRST if form == "vllm" else COUNTS)


def test_whole_floats_are_taken_with_a_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    history = {"load_history": [{"logical_expert_load": (step / 1).tolist()} for step in COUNTS]}
    (tmp_path / "expert-load.json").write_text(json.dumps(history), encoding="utf-8")
    assert convert(tmp_path, "--from", "adrs", tmp_path / "expert-load.json") == 0
    told = [notes(capsys)[0]]
    made = [result(tmp_path)]
    views = [tmp_path / f"moe_load_{step:03}.npy" for step in range(len(COUNTS))]
    for path, counts in zip(views, COUNTS, strict=True):
        np.save(path, counts.reshape(len(LAYERS), 2, -1) / 1)
    assert convert(tmp_path, "--from", "vllm-ascend", *views, "--experts", EXPERTS, "--replace") == 0
    told += [note for note in notes(capsys) if "whole" in note]
    made.append(result(tmp_path))
    record = {"iter": 0, "block": "decoder", "layer": 3, "tpe": (COUNTS[:4, 0] / 1).tolist()}
    lines(tmp_path / "rank0.jsonl", [record])
    assert convert(tmp_path, "--from", "megatron", tmp_path / "rank0.jsonl", "--experts", EXPERTS, "--replace") == 0
    told += [note for note in notes(capsys) if "whole" in note]
    assert np.array_equal(made, [COUNTS, COUNTS]) and np.array_equal(result(tmp_path), COUNTS[:4, :1])
    assert told == ["float64 values, all whole, written as integers"] * 3


def test_layers_keep_their_numbers(tmp_path: Path) -> None:
    for form in ("trtllm", "megatron", "atom", "steps", "csv"):
        write(form, tmp_path / form)
        options = Namespace(
            inputs=[tmp_path / form], skip_incomplete=False, experts=EXPERTS, map=None, layers=None, form=form
        )
        assert FORMATS[form].read(options).layers == LAYERS


@pytest.mark.parametrize("form", ["mindie", "omni", "vllm-ascend"])
def test_counts_that_run_on_are_said_and_become_differences(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    running = COUNTS.cumsum(axis=0)
    monkeypatch.setattr(dumps, "COUNTS", running)
    monkeypatch.setattr(dumps, "HALVES", np.split(running, 2, axis=2))
    arguments = ["--from", form, tmp_path / "in", *write(form, tmp_path / "in")]
    assert convert(tmp_path, *arguments) == 0
    assert (
        "no count falls in any of 128 iterations, as in running totals: if these are running totals, --differences"
        in capsys.readouterr().out
    )
    assert convert(tmp_path, *arguments, "--differences", "--replace") == 0
    assert np.array_equal(result(tmp_path), COUNTS[1:])
