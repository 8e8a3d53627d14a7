"""A tiny grid for the kit's commands: two cases, their traces and their reference."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

import kit
from submissions import grid_mapping, write_world

CASES = [{"model": "Small", "dataset": "one", "ep": [4]}, {"model": "Large", "dataset": "two", "ep": [8]}]


def write_kit_world(folder: Path) -> Path:
    """Write grid.yaml, traces/ and reference/ into a folder and return it."""
    write_world(folder)
    (folder / "grid.yaml").write_text(yaml.safe_dump(grid_mapping() | {"cases": CASES}), encoding="utf-8")
    paths = ("--grid", folder / "grid.yaml", "--traces", folder / "traces", "--output", folder / "reference")
    assert kit.main(["reference", *(str(argument) for argument in paths)]) == 0
    return folder


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """What a command that cannot be run says last; it prints nothing else."""
    with pytest.raises(SystemExit) as ended:
        kit.main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    assert (ended.value.code, printed.out) == (2, "") and "Traceback" not in printed.err
    return printed.err.splitlines()[-1]
