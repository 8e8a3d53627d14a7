"""kit.py convert, logs of omni-infer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from conversions import convert, refusal, result
from dumps import COUNTS, EXPERTS, HALVES, LAYERS, PASSES


def log(folder: Path, phases: tuple[str, ...] = ("decode",), cut: str = "") -> Path:
    """omni-infer's log of the same passes, with other lines in it."""
    text = "INFO started\n"
    for step in range(PASSES):
        for rank, half in enumerate(HALVES):
            for place, layer in enumerate(LAYERS):
                counts = "\t".join(map(str, half[step, place]))
                phase = phases[step % len(phases)]
                place_of = f"[dump activation] {phase} step {step} in rank {rank} for layer {layer}"
                text += f"{place_of} get 4 experts data: {counts}{cut}\n"
    (folder / "omni.log").write_text(text)
    return folder / "omni.log"


def test_counts_in_a_log_of_omni_infer_are_read(tmp_path: Path) -> None:
    assert convert(tmp_path, "--from", "omni", log(tmp_path), "--experts", EXPERTS) == 0
    assert np.array_equal(result(tmp_path), COUNTS)


def test_a_log_of_two_phases_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = log(tmp_path, ("decode", "prefill"))
    assert refusal(tmp_path, capsys, "--from", "omni", path, "--experts", EXPERTS) == (
        "omni.log: the log is of two phases. Got: decode and prefill. Expected: one of them. Next: keep the lines of"
        " one phase."
    )


def test_a_line_of_a_log_that_is_cut_off_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refusal(tmp_path, capsys, "--from", "omni", log(tmp_path, cut="\t1"), "--experts", EXPERTS).startswith(
        "omni.log, line 2: a line is cut off. Got: 5 counts. Expected: 4, as the line says."
    )
