"""JSONL traces: read, limited, and refused by file and line when malformed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lab.traces.records import (
    read_records,
    trace_of,
)
from placement.errors import Problem


def _lines(path: Path, *lines: object) -> Path:
    text = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n".join(text) + "\n", encoding="utf-8")
    return path


def _record(layer: int = 0, batch_id: int = 0, **fields: object) -> dict:
    return {"layer": layer, "batch_id": batch_id, "topk_experts": [[0, 1], [2, 1], [3, 0]], **fields}


def test_origins_are_kept_where_every_record_has_them(tmp_path: Path) -> None:
    path = _lines(tmp_path / "t.jsonl", _record(origin_rows=[0, 0, 1]), _record(batch_id=1, origin_rows=[1, 1, 0]))
    assert trace_of(read_records(path, 4), 4).origins.tolist() == [0, 0, 1, 1, 1, 0]
    path = _lines(tmp_path / "t.jsonl", _record(), _record(batch_id=1, origin_rows=[1, 1, 0]))
    assert trace_of(read_records(path, 4), 4).origins is None


def test_the_legacy_form_is_read(tmp_path: Path) -> None:
    tokens = [{"origin_row": 2, "topk_experts": [0, 1]}, {"origin_row": 3, "topk_experts": [2, 0]}]
    (record,) = read_records(_lines(tmp_path / "t.jsonl", {"layer": 1, "batch_id": 5, "tokens": tokens}), 3)
    assert (record.layer, record.batch_id) == (1, 5)
    assert record.choices.tolist() == [[0, 1], [2, 0]] and record.origins.tolist() == [2, 3]


def test_unknown_fields_and_empty_lines_are_passed_over(tmp_path: Path) -> None:
    weights = [[0.5, 0.5]] * 3
    path = _lines(tmp_path / "t.jsonl", "", _record(topk_weights=weights, source_file="a", request_id="r"), "  ")
    assert [record.request_id for record in read_records(path, 4)] == ["r"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "the line is not JSON"),
        ("[" * 100_000, "the line is not JSON"),
        ([1], "Got: a list. Expected: an object"),
        ({"batch_id": 0, "topk_experts": [[0]]}, "layer is no number. Got: None. Expected: an integer"),
        (_record(layer=True), "layer is no number. Got: True"),
        (_record(batch_id="a"), "batch_id is no number. Got: 'a'"),
        ({"layer": 0, "batch_id": 0}, "the record has no experts. Got: keys "),
        ({"layer": 0, "batch_id": 0, "tokens": [{"origin_row": 0}]}, "the record has no experts. Got: keys "),
        (_record(topk_experts=[[0, 1], [2]]), "is ragged"),
        (
            _record(topk_experts=[0, 1]),
            r"Got: shape \[2\] of dtype int64. Expected: integers, 2-d",
        ),
        (_record(topk_experts=[[0.0, 1.0]]), "of dtype float64. Expected: integers"),
        (_record(topk_experts=[[True, 2]]), r"topk_experts has a boolean. Got: \[\[True, 2\]\]. Expected: integers"),
        (_record(topk_experts=[[None, 1]]), "of dtype object. Expected: integers"),
        (_record(topk_experts=[]), "topk_experts has the wrong form"),
        (_record(topk_experts=[[]]), "the record has no tokens"),
        (_record(topk_experts=[[0, 4]]), r"token 0 chose expert 4. Expected: 0 \.\. 3"),
        (_record(topk_experts=[[0, 10**30]]), "Expected: integers"),
        (_record(topk_experts=[[0, 1], [2, 2]]), "token 1 chose expert 2 twice"),
        (
            _record(origin_rows=[0, 1]),
            r"Got: \[0, 1\]. Expected: 3 rows from 0, one per token",
        ),
        (_record(origin_rows=[0, 1, -1]), r"origin_rows does not fit. Got: \[0, 1, -1\]"),
        (_record(origin_rows="abc"), "origin_rows has the wrong form"),
        (_record(request_id=[1]), "request_id is of another type. Got: a list"),
    ],
)
def test_a_malformed_line_is_refused_by_file_and_number(tmp_path: Path, line: object, message: str) -> None:
    path = _lines(tmp_path / "bad.jsonl", _record(), line)
    with pytest.raises(Problem, match=message) as caught:
        list(read_records(path, 4))
    assert f"{path}, line 2" in str(caught.value)


def test_bytes_that_are_no_text_are_refused_by_file_and_number(tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_bytes(b'{"layer": "\xff"}\n')
    with pytest.raises(Problem, match=r"bad\.jsonl, line 1: the line is not JSON"):
        list(read_records(tmp_path / "bad.jsonl", 4))


def test_records_that_do_not_fit_together_are_refused(tmp_path: Path) -> None:
    path = _lines(tmp_path / "t.jsonl", _record(0), _record(1, 7))
    with pytest.raises(ValueError, match="layer 1 has other batches than layer 0"):
        trace_of(read_records(path, 4), 4)
    with pytest.raises(ValueError, match="no records"):
        trace_of([], 4)
