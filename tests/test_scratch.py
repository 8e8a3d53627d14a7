"""The folder in which a policy may write: counted, and removed whatever is in it."""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from placement.isolation import sandbox, scratch
from placement.isolation.scratch import Scratch

# What only this process does, which holds no removed file.
HERE = os.getpid()


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Scratch:
    """A scratch folder inside the test's own, where little is allowed."""
    monkeypatch.setattr(scratch.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(scratch, "LARGEST_BYTES", 20_000)
    monkeypatch.setattr(scratch, "MOST_FILES", 3)
    return Scratch()


def held(folder: Scratch) -> int:
    """Bytes on the disk of a folder and all that lies in it."""
    return sum(path.lstat().st_blocks * 512 for path in [folder.folder, *folder.folder.rglob("*")])


def test_a_scratch_folder_is_private_and_holds_nothing(folder: Scratch, tmp_path: Path) -> None:
    assert folder.folder.parent.parent == tmp_path
    assert {path.stat().st_mode & 0o777 for path in (folder.folder, folder.folder.parent)} == {0o700}
    assert list(folder.folder.iterdir()) == [] and folder.excess(HERE) == ""


@pytest.mark.skipif(sys.platform != "linux", reason="root's rights are given up by a call of Linux's")
def test_a_folder_that_is_shut_tells_nothing_until_it_is_open(folder: Scratch) -> None:
    (folder.folder / "mark").touch()
    seen = []
    for change in (folder.shut, folder.open):
        change()
        if not (child := os.fork()):
            sandbox._drop_capabilities()
            os._exit(os.path.lexists(folder.folder / "mark"))
        seen.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    assert seen == [0, 1]


def test_as_much_as_is_allowed_is_no_excess(folder: Scratch) -> None:
    for number in range(3):
        (folder.folder / str(number)).write_bytes(b"x" * 4096)
    assert folder.excess(HERE) == ""


def test_too_many_files_and_too_many_bytes_are_excess(folder: Scratch) -> None:
    (folder.folder / "large").write_bytes(b"x" * 40_960)
    assert folder.excess(HERE) == f"{held(folder)} bytes" and held(folder) >= 40_960
    for number in range(3):
        (folder.folder / str(number)).touch()
    assert folder.excess(HERE) == "more than 3 files and folders"


def test_what_is_removed_and_still_in_use_is_excess(folder: Scratch) -> None:
    with (folder.folder / "large").open("wb", buffering=0) as file:
        file.write(b"x" * 40_960)
        (folder.folder / "large").unlink()
        used = f" ({40_960} of them in removed files that are still in use)"
        assert folder.excess(HERE) == f"{held(folder) + 40_960} bytes{used}"
    assert folder.excess(HERE) == ""


def test_what_lies_in_folders_counts_and_so_do_they(folder: Scratch) -> None:
    inner = folder.folder / "outer" / "inner"
    inner.mkdir(parents=True)
    (inner / "one").write_bytes(b"x" * 40_960)
    assert folder.excess(HERE) == f"{held(folder)} bytes" and held(folder) >= 40_960
    (inner / "two").touch()
    assert folder.excess(HERE) == "more than 3 files and folders"


@pytest.mark.parametrize("mode", [0, 0o300, 0o400, 0o600])
def test_a_closed_folder_is_excess_whoever_looks(folder: Scratch, mode: int) -> None:
    (folder.folder / "closed").mkdir(mode)
    assert folder.excess(HERE) == "a folder that cannot be listed (Permission denied)"


def test_a_folder_deeper_than_a_path_may_be_is_excess(folder: Scratch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "MOST_FILES", 1000)
    monkeypatch.setattr(scratch, "LARGEST_BYTES", 2**30)
    here = os.getcwd()
    try:
        os.chdir(folder.folder)
        for _ in range(20):
            os.mkdir("x" * 250)
            os.chdir("x" * 250)
    finally:
        os.chdir(here)
    assert folder.excess(HERE) == "a folder that cannot be listed (File name too long)"
    folder.remove()


def test_a_folder_that_is_only_read_is_counted(folder: Scratch) -> None:
    (folder.folder / "read").mkdir(0o500)
    assert folder.excess(HERE) == ""


def test_a_name_that_goes_while_it_is_counted_is_excess(folder: Scratch, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder.folder / "0").touch()
    listed = os.scandir

    def rename_after(path: str) -> Any:
        entries = list(listed(path))
        os.rename(f"{path}/0", f"{path}/1")
        return nullcontext(entries)

    monkeypatch.setattr(scratch.os, "scandir", rename_after)
    assert folder.excess(HERE) == "a folder that cannot be listed (No such file or directory)"


def test_a_link_counts_as_itself(folder: Scratch, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * 40_960)
    (folder.folder / "link").symlink_to(tmp_path / "large")
    assert folder.excess(HERE) == ""
    folder.remove()
    assert list(tmp_path.iterdir()) == [tmp_path / "large"]


def test_a_folder_that_is_gone_is_excess(folder: Scratch) -> None:
    folder.folder.rmdir()
    assert folder.excess(HERE) == "another object in the place of the folder"
    folder.remove()
    assert not folder.folder.parent.exists()


def test_a_link_in_its_place_is_not_followed(folder: Scratch, tmp_path: Path) -> None:
    victim = tmp_path / "victim" / "inner"
    victim.mkdir(mode=0o755, parents=True)
    folder.folder.rmdir()
    folder.folder.symlink_to(tmp_path / "victim")
    assert folder.excess(HERE) == "another object in the place of the folder"
    folder.remove()
    assert [path.name for path in tmp_path.iterdir()] == ["victim"] and victim.stat().st_mode & 0o777 == 0o755


def test_a_file_in_its_place_is_excess(folder: Scratch, tmp_path: Path) -> None:
    folder.folder.rmdir()
    folder.folder.write_text("")
    assert folder.excess(HERE) == "another object in the place of the folder"
    folder.remove()
    assert list(tmp_path.iterdir()) == []


def test_closed_and_deep_folders_are_removed(folder: Scratch, tmp_path: Path) -> None:
    os.mkdir(folder.folder / "closed")
    (folder.folder / "closed" / "file").touch()
    os.chmod(folder.folder / "closed", 0)
    here = os.getcwd()
    try:
        os.chdir(folder.folder)
        # Deeper than Python's recursion, and longer than a path may be.
        for _ in range(1500):
            os.mkdir("deep")
            os.chdir("deep")
    finally:
        os.chdir(here)
    folder.remove()
    assert list(tmp_path.iterdir()) == []
