"""Temporary folders: removed whatever lies in them, by their program or by the next one, and only by those."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from placement.evaluation import temporary
from placement.evaluation.temporary import PREFIX, fresh_folder, remove_abandoned, temporary_folder
from placement.isolation.removal import remove_folder

fcntl = pytest.importorskip("fcntl", reason="locks of folders are of Unix")


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of temporary files, the test's alone."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def abandon(place: Path, name: str = "abandoned") -> Path:
    """What a program leaves that was killed: a folder that nobody has locked, with a closed folder in it."""
    folder = place / f"{PREFIX}{name}"
    (folder / "case" / "closed").mkdir(parents=True)
    (folder / "case" / "closed" / "file").touch()
    (folder / "case" / "closed").chmod(0)
    return folder


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    here = os.getcwd()
    try:
        os.chdir(folder)
        yield
    finally:
        os.chdir(here)


def test_closed_folders_are_removed_that_are_nested_deeper_than_a_path_is_long(place: Path) -> None:
    (place / "top").mkdir()
    with inside(place / "top"):
        for _ in range(40):
            os.mkdir("x" * 250)
            Path("file").touch(0)
            os.chdir("x" * 250)
        for _ in range(40):
            os.chdir("..")
            os.chmod("x" * 250, 0)
    assert remove_folder(str(place / "top")) and list(place.iterdir()) == []


def test_a_link_is_not_removed_and_not_followed(place: Path) -> None:
    (place / "goal").mkdir(mode=0o755)
    (place / "goal" / "file").touch()
    (place / "link").symlink_to(place / "goal")
    assert not remove_folder(str(place / "link"))
    assert (place / "link").is_symlink() and (place / "goal" / "file").exists()
    (place / "top").mkdir()
    (place / "top" / "link").symlink_to(place / "goal")
    assert remove_folder(str(place / "top")) and (place / "goal" / "file").exists()


def test_temporary_files_lie_in_a_folder_that_goes_with_its_program(place: Path) -> None:
    with temporary_folder():
        (folder,) = place.iterdir()
        assert Path(tempfile.mkdtemp()).parent == folder and os.environ["TMPDIR"] == str(folder)
        assert [str(folder)] == temporary.HELD
    assert list(place.iterdir()) == [] and temporary.HELD == []
    assert tempfile.gettempdir() == os.environ["TMPDIR"] == str(place)


def test_a_killed_program_s_folder_is_removed_by_the_next(place: Path) -> None:
    abandon(place)
    with fresh_folder() as folder:
        assert list(place.iterdir()) == [folder]


def test_a_living_program_s_folder_stays(place: Path) -> None:
    with fresh_folder() as first, fresh_folder() as second:
        assert sorted(place.iterdir()) == sorted([first, second])


def test_a_program_that_was_started_does_not_hold_the_folder(place: Path) -> None:
    folder, lock = temporary._locked_folder()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL):
        remove_abandoned()
        assert os.path.exists(folder)
        os.close(lock)
        remove_abandoned()
        assert not os.path.exists(folder)


def test_what_is_not_this_user_s_stays(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, user = abandon(place), os.geteuid()
    monkeypatch.setattr(temporary.os, "geteuid", lambda: user + 1)
    remove_abandoned()
    assert folder.exists()
    monkeypatch.undo()
    remove_folder(str(folder))


def test_links_files_and_other_names_stay(place: Path) -> None:
    (place / "goal").mkdir()
    (place / f"{PREFIX}link").symlink_to(place / "goal")
    (place / f"{PREFIX}file").touch()
    (place / "expert-placement-other").mkdir()
    before = sorted(place.iterdir())
    remove_abandoned()
    assert sorted(place.iterdir()) == before


def test_without_locks_every_folder_stays_and_there_is_a_fresh_one(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError("no locks available")

    folder = abandon(place)
    monkeypatch.setattr(temporary.fcntl, "flock", refuse)
    with fresh_folder() as fresh:
        assert sorted(place.iterdir()) == sorted([folder, fresh])
    assert list(place.iterdir()) == [folder]
    remove_folder(str(folder))


def test_a_folder_that_another_program_removes_before_it_is_locked_is_made_again(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, flock = [], fcntl.flock

    def remove_first(descriptor: int, how: int) -> None:
        made.append(descriptor)
        if len(made) == 1:
            remove_folder(str(next(place.iterdir())))
        flock(descriptor, how)

    monkeypatch.setattr(temporary.fcntl, "flock", remove_first)
    with fresh_folder() as folder:
        assert list(place.iterdir()) == [folder] and len(made) == 2
