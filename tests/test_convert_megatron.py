"""kit.py convert, Megatron-LM: loads of ranks, and choices of its RouterTracer."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from conversions import convert, notes, refusal, result
from dumps import COUNTS, EXPERTS, IDS, lines, traced, write


def test_loads_of_megatron_are_told_with_what_was_assumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = write("megatron", tmp_path / "in")
    assert convert(tmp_path, "--from", "megatron", tmp_path / "in", *options) == 0
    assert notes(capsys)[:3] == [
        "microbatch 0.0 .. 630.1 in order, summed over 2 ranks",
        "rank R taken to hold part R modulo 2 of the experts, as without tensor parallelism inside experts",
        "2 lines of multi-token prediction left out",
    ]


def test_loads_of_replicas_add_up(tmp_path: Path) -> None:
    options = write("megatron", tmp_path / "in")
    for rank in range(2):
        # Ranks 2 and 3 hold the parts of ranks 0 and 1, for other tokens.
        (tmp_path / "in" / f"rank{rank + 2}.jsonl").write_bytes((tmp_path / "in" / f"rank{rank}.jsonl").read_bytes())
    assert convert(tmp_path, "--from", "megatron", tmp_path / "in", *options) == 0
    assert np.array_equal(result(tmp_path), 2 * COUNTS)


def test_a_part_of_the_experts_that_no_rank_holds_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = write("megatron", tmp_path / "in")
    (tmp_path / "in" / "rank1.jsonl").unlink()
    assert refusal(tmp_path, capsys, "--from", "megatron", tmp_path / "in", *options) == (
        "input: experts are missing. Got: no part 1 of 2 in layer 3. Expected: every rank's file. Next: give every"
        " rank's file, or correct --experts."
    )


def test_a_microbatch_that_a_rank_lacks_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = write("megatron", tmp_path / "in")
    path = tmp_path / "in" / "rank1.jsonl"
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    records[0]["tpe"].pop()
    lines(path, records)
    assert refusal(tmp_path, capsys, "--from", "megatron", tmp_path / "in", *options) == (
        "input: a microbatch is not complete. Got: no record of layer 3 by rank 1 in microbatch 0.1; 1 of 128"
        " microbatches are incomplete. Expected: every layer by every rank that has it. Next: give every rank's file,"
        " or --skip-incomplete to leave such microbatches out."
    )


def test_experts_that_do_not_divide_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("megatron", tmp_path / "in")
    assert refusal(tmp_path, capsys, "--from", "megatron", tmp_path / "in", "--experts", 10) == (
        "rank0.jsonl, line 1: the ranks' experts do not fit --experts. Got: 4 experts of a rank. Expected: the same"
        " part of 10 on every rank. Next: correct --experts."
    )


def test_choices_of_a_router_tracer_are_summed_over_ranks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    mtp = {"step": 0, "block": "mtp", "mtp_idx": 0, "layer": 0, "rank": 0, "top_indices": [[1, 2]]}
    lines(tmp_path / "in" / "router_trace_rank0.jsonl", [*traced(IDS[:, :, :1]), mtp])
    lines(tmp_path / "in" / "router_trace_rank1.jsonl", traced(IDS[:, :, 1:], rank=1))
    assert convert(tmp_path, "--from", "megatron", tmp_path / "in", "--experts", EXPERTS) == 0
    assert np.array_equal(result(tmp_path), COUNTS)
    assert "1 line of multi-token prediction left out" in notes(capsys)


def test_microbatches_of_a_step_add_up(tmp_path: Path) -> None:
    path = lines(tmp_path / "router_trace_rank0.jsonl", traced(IDS[:, :, :3]) + traced(IDS[:, :, 3:]))
    assert convert(tmp_path, "--from", "megatron", path, "--experts", EXPERTS) == 0
    assert np.array_equal(result(tmp_path), COUNTS)


def test_a_copy_of_a_ranks_trace_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    lines(tmp_path / "in" / "router_trace_rank0.jsonl", traced())
    lines(tmp_path / "in" / "router_trace_rank0_copy.jsonl", traced()[:-2])
    assert refusal(tmp_path, capsys, "--from", "megatron", tmp_path / "in", "--experts", EXPERTS) == (
        "router_trace_rank0_copy.jsonl, line 1: a rank's choices are in two files. Got: step 0, layer 3 of rank 0 in"
        " router_trace_rank0.jsonl, too. Expected: a file for each rank. Next: leave out the file where it is a copy;"
        " else write both into one."
    )
