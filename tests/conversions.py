"""`kit.py convert` as tests call it: into a folder's `out`, with what it said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import kit


def convert(folder: Path, *arguments: object) -> int:
    where = ["--output", str(folder / "out"), "--model", "M", "--dataset", "d", "--licence", "CC0-1.0"]
    return kit.main(["convert", *map(str, arguments), *where])


def result(folder: Path) -> np.ndarray:
    return np.load(folder / "out" / "M" / "d.npy")


def refusal(folder: Path, capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The error's text, after the command wrote nothing."""
    capsys.readouterr()
    assert convert(folder, *arguments) == 2
    assert not (folder / "out").exists()
    return capsys.readouterr().err.removeprefix("kit.py convert: error: ").removesuffix("\n")


def notes(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line.removeprefix("note: ") for line in capsys.readouterr().out.splitlines()[1:]]
