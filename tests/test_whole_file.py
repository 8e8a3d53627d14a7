"""Files that are whole or absent: what a failure leaves, and the new file's mode."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import numpy as np
import pytest

import scoring
from commands.selection import write_grid
from lab.planning.plan_file import PlanFile, save_plan
from placement.traces.whole_file import whole_file, write_whole
from traces.generation.profile import FOLDER, read_profile, write_profile

TABLE = np.zeros((1, 1, 1), np.int64)
WRITERS = {
    "write_whole": lambda path: write_whole(path, b"new"),
    "the scoring program's": lambda path: scoring.write(path, "new"),
    "a grid's": lambda path: write_grid(path, {}),
    "a profile's": lambda path: write_profile(path, read_profile(FOLDER / "DS-R1" / "LmSys.yaml")),
    "a plan's": lambda path: save_plan(
        path, PlanFile(TABLE, TABLE, (0,), 1, False, 1, 1, ("row-blocks",), (), np.ones((1, 1)))
    ),
}


def test_a_file_appears_with_its_folder_and_returns_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    assert write_whole(path, b"new") == b"new"
    assert path.read_bytes() == b"new" and os.listdir(path.parent) == ["file"]


def write_half(path: Path) -> None:
    with whole_file(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt


@pytest.mark.parametrize("before", [{}, {"file": b"old"}])
def test_a_failure_leaves_what_was_there(tmp_path: Path, before: dict[str, bytes]) -> None:
    for name, data in before.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(KeyboardInterrupt):
        write_half(tmp_path / "file")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(("mode", "kept"), [(0o666, 0o640), (0o600, 0o600)])
def test_the_mode_is_the_new_file_s_whatever_lay_there(tmp_path: Path, mode: int, kept: int) -> None:
    for name in ("file", ".file.part"):
        (tmp_path / name).write_bytes(b"old")
        (tmp_path / name).chmod(0o777)
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "file", b"new", mode)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == kept and os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("writer", WRITERS)
def test_a_link_in_the_way_is_not_followed(tmp_path: Path, writer: str) -> None:
    (tmp_path / "other").write_bytes(b"other")
    for name in ("file", ".file.part"):
        (tmp_path / name).symlink_to("other")
    WRITERS[writer](tmp_path / "file")
    assert sorted(os.listdir(tmp_path)) == ["file", "other"] and not (tmp_path / "file").is_symlink()
    assert (tmp_path / "other").read_bytes() == b"other"
