"""kit.py convert, dumps of TensorRT-LLM."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conversions import convert, notes, refusal, result
from dumps import COUNTS, LAYERS, PASSES, safetensors, write


def test_tensorrt_llm_is_told_with_what_was_summed_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write("trtllm", tmp_path / "in")
    assert convert(tmp_path, "--from", "trtllm", tmp_path / "in") == 0
    assert notes(capsys)[:2] == [
        "iteration 50 .. 177 in order, summed over 2 ranks",
        "2 files left out: no counts (rankN.safetensors has them)",
    ]


def without_key(folder: Path) -> None:
    share = {
        f"{50 + step}_{layer}": COUNTS[step, place] for step in range(PASSES) for place, layer in enumerate(LAYERS)
    }
    del share["51_4"]
    safetensors(folder / "rank1.safetensors", share)


TRTLLM: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a pass that a rank lacks": (
        without_key,
        "input: an iteration is not complete. Got: no record of layer 4 by rank 1 in iteration 51; 1 of 128 iterations"
        " are incomplete. Expected: every layer by every rank that has it. Next: give every rank's file, or"
        " --skip-incomplete to leave such iterations out.",
    ),
    "a rank that is missing": (
        lambda folder: (folder / "rank1.safetensors").rename(folder / "rank2.safetensors"),
        "input: a rank's file is missing. Got: records of ranks 0, 2. Expected: ranks 0 .. 2. Next: give the file of"
        " rank 1 too.",
    ),
    "other experts than the description says": (
        lambda folder: (folder / "meta_info.json").write_text('{"num_experts": 16}'),
        "rank0.safetensors, 50_3: the counts do not fit. Got: 8 counts. Expected: 16, the num_experts of"
        " meta_info.json. Next: use the folder of one run.",
    ),
    "choices": (
        lambda folder: safetensors(folder / "rank0.safetensors", {"50_3": np.zeros((4, 2), np.int64)}),
        "rank0.safetensors, 50_3: the tensor is not a count. Got: shape [4, 2]. Expected: keys ITERATION_LAYER, each "
        "with"
        " one count for every expert. Next: name another file.",
    ),
    "bfloat16": (
        lambda folder: safetensors(folder / "rank0.safetensors", {"50_3": np.zeros(8, np.uint16)}),
        "rank0.safetensors: the tensor's dtype is not read. Got: BF16 of 50_3. Expected: integers. Next: save the"
        " counts as they were counted, in int32 or int64.",
    ),
    "a damaged header": (
        lambda folder: (folder / "rank0.safetensors").write_bytes(b"\xff" * 20),
        "rank0.safetensors: the file cannot be read. Got: ValueError: a header of 18446744073709551615 bytes in a file"
        " of 20. Expected: a complete .safetensors file. Next: copy the file again.",
    ),
}


@pytest.mark.parametrize("case", TRTLLM)
def test_a_wrong_dump_of_tensorrt_llm_is_refused(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spoil, text = TRTLLM[case]
    write("trtllm", tmp_path / "in")
    spoil(tmp_path / "in")
    assert refusal(tmp_path, capsys, "--from", "trtllm", tmp_path / "in") == text


def test_incomplete_iterations_are_left_out_when_that_is_wanted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write("trtllm", tmp_path / "in")
    without_key(tmp_path / "in")
    assert convert(tmp_path, "--from", "trtllm", tmp_path / "in", "--skip-incomplete") == 0
    whole = COUNTS // 3 + COUNTS
    assert np.array_equal(result(tmp_path), np.delete(whole, 1, axis=0))
    assert "incomplete and left out: iteration 51" in notes(capsys)


def test_a_tensor_that_reaches_beyond_its_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = safetensors(tmp_path / "rank0.safetensors", {"50_3": np.arange(8)})
    path.write_bytes(path.read_bytes()[:-8])
    assert refusal(tmp_path, capsys, "--from", "trtllm", path).startswith(
        "rank0.safetensors: the file cannot be read. Got: ValueError: a tensor of shape [8] at bytes 0 .. 64 of 56."
    )
