"""The copy of a submission in which its policy runs: what is in it, what is not, and that the hash covers all of it."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from pathlib import Path

import pytest

from placement.errors import OrganizerError, SubmissionRefused
from placement.submission.contents import MOST_NAMED, note_of, submission_files
from placement.submission.files import DEEPEST_LEVEL, LARGEST_BYTES, LARGEST_COUNT
from placement.submission.receipt import policy_sha256
from placement.submission.stage import stage
from submissions import DECLINES, write_policy

PACKED = {"planner.py": "ONE = 1\n", "data/table.txt": "1 2\n", "data/deep/x.npy": "3", "native.so": "4"}
LEFT_OUT = (
    *(".DS_Store", ".table", ".venv/bin/python", "__MACOSX/._policy.py", "__pycache__/policy.cpython-312.pyc"),
    *("data/.hidden", "data/.more/code.py", "data/Thumbs.db", "data/old.ZIP", "planner.pyc", "submission.zip"),
)
UNREADABLE = "Expected: files that can be opened. Next: correct its permissions, or shorten its path."


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """A submission with modules, data, and all kinds of what pack leaves out."""
    return write_policy(tmp_path / "policy", DECLINES, PACKED | dict.fromkeys(LEFT_OUT, "other"))


def staged(policy: Path) -> Path:
    """The copy of a submission."""
    copy = policy.parent / "copy"
    stage(submission_files(policy)[0], copy)
    return copy


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


def refusal(folder: Path) -> str:
    with pytest.raises(SubmissionRefused) as caught:
        stage(submission_files(folder)[0], folder.parent / "copy")
    return str(caught.value)


def test_the_copy_has_what_is_packed_and_nothing_else(policy: Path) -> None:
    copy = staged(policy)
    assert files_below(copy) == {"policy.py", *PACKED}
    assert all((copy / name).read_text() == text for name, text in PACKED.items())
    # A folder of which all is left out would tell its name.
    assert sorted(path.name for path in copy.iterdir() if path.is_dir()) == ["data"]


def test_what_is_left_out_is_named(policy: Path) -> None:
    files, left_out = submission_files(policy)
    assert list(files) == sorted(["policy.py", *PACKED])
    assert left_out == [
        *(".DS_Store", ".table", ".venv/", "__MACOSX/", "__pycache__/"),
        *("data/.hidden", "data/.more/", "data/Thumbs.db", "data/old.ZIP", "planner.pyc", "submission.zip"),
    ]
    assert note_of(left_out) == (
        "left out, as pack leaves out hidden files, bytecode and zips: .table, data/.hidden, data/.more/, "
        "data/old.ZIP, submission.zip; the policy cannot read them"
    )
    assert note_of([".git/", ".DS_Store", "a/__pycache__/", "b.pyc"]) == ""
    assert f": {', '.join('abcdefghij')} and 2 more; " in note_of(list("abcdefghijkl")) and MOST_NAMED == 10


def test_the_hash_covers_every_file_of_the_copy(policy: Path) -> None:
    copy = staged(policy)
    whole = policy_sha256(copy)
    assert whole == policy_sha256(policy)
    for name in files_below(copy):
        text = (copy / name).read_bytes()
        (copy / name).write_bytes(text + b"#")
        assert policy_sha256(copy) != whole, name
        (copy / name).write_bytes(text)
    for name in LEFT_OUT:
        (policy / name).write_text("changed")
    assert policy_sha256(policy) == whole


def test_a_copy_looks_the_same_whatever_its_source_looks_like(policy: Path) -> None:
    other = shutil.copytree(policy, policy.parent / "elsewhere" / "policy")
    for path in (other, *other.rglob("*")):
        path.chmod(0o700)
        os.utime(path, (10**9, 10**9))

    def looks(folder: Path) -> dict[str, tuple[object, ...]]:
        stats = {path.relative_to(folder).as_posix(): path.stat() for path in (folder, *folder.rglob("*"))}
        return {name: (stat.filemode(status.st_mode), status.st_mtime) for name, status in stats.items()}

    first = looks(staged(policy))
    assert looks(staged(other)) == first
    assert first["planner.py"] == ("-rw-r--r--", 315_532_800) and first["data"] == ("drwxr-xr-x", 315_532_800)


@pytest.mark.skipif(sys.platform != "linux", reason="how Linux keeps access times")
def test_reading_leaves_no_access_time(policy: Path) -> None:
    copy = staged(policy)
    if not os.statvfs(copy).f_flag & (os.ST_RELATIME | os.ST_NOATIME):
        pytest.skip("this file system keeps every access")
    paths = [copy, *copy.rglob("*")]
    before = [path.stat().st_atime_ns for path in paths]
    for path in paths:
        os.listdir(path) if path.is_dir() else path.read_bytes()
    assert [path.stat().st_atime_ns for path in paths] == before


def test_links_are_copied_as_what_they_lead_to(policy: Path) -> None:
    (policy / "one.py").symlink_to("planner.py")
    (policy / "more").symlink_to("data/deep")
    copy = staged(policy)
    assert files_below(copy) == {"policy.py", *PACKED, "one.py", "more/x.npy"}
    assert not any(path.is_symlink() for path in copy.rglob("*"))
    assert (copy / "more" / "x.npy").read_text() == "3"


def test_a_write_to_the_source_reaches_no_copy(policy: Path) -> None:
    copy = staged(policy)
    (policy / "planner.py").write_text("TWO = 2\n")
    assert (copy / "planner.py").read_text() == PACKED["planner.py"]


def test_a_link_into_a_folder_that_holds_it_is_refused(policy: Path) -> None:
    (policy / "data" / "up").symlink_to("..")
    assert refusal(policy) == (
        "submission: a link leads to a folder that holds the link. Got: data/up -> ... Expected: links that a zip can "
        "hold "
        "as files. Next: remove the link."
    )


def test_links_that_multiply_folders_are_refused(tmp_path: Path) -> None:
    folder = write_policy(tmp_path / "policy", DECLINES)
    for level in range(40):
        (folder / f"f{level}").mkdir()
        for name in "ab":
            (folder / f"f{level}" / name).symlink_to(f"../f{level + 1}")
    (folder / "f40").mkdir()
    text = f"the submission has too many files. Got: {LARGEST_COUNT + 1} files and folders so far. "
    assert refusal(folder).startswith(f"submission: {text}")


def test_links_that_nest_folders_are_refused(tmp_path: Path) -> None:
    folder = write_policy(tmp_path / "policy", DECLINES)
    for level in range(DEEPEST_LEVEL):
        (folder / f"f{level}").mkdir()
        (folder / f"f{level}" / "a").symlink_to(f"../f{level + 1}")
    (folder / f"f{DEEPEST_LEVEL}").mkdir()
    text = f"the submission's folders are nested too deep. Got: {DEEPEST_LEVEL + 1} levels at f"
    assert refusal(folder).startswith(f"submission: {text}")


def test_links_that_multiply_bytes_are_refused_before_they_are_copied(tmp_path: Path) -> None:
    folder = write_policy(tmp_path / "policy", DECLINES, {"data/hole": ""})
    os.truncate(folder / "data" / "hole", LARGEST_BYTES // 2)
    for name in "ab":
        (folder / name).symlink_to("data/hole")
    text = f"the submission is too large. Got: {LARGEST_BYTES + len(DECLINES)} bytes so far. "
    assert refusal(folder).startswith(f"submission: {text}")
    assert not (tmp_path / "copy").exists()


def test_what_is_no_file_any_more_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, reason in {"pipe": "not a regular file", "gone": "No such file or directory"}.items():
        with pytest.raises(SubmissionRefused) as caught:
            stage({"data/x": tmp_path / path}, tmp_path / "copy")
        text = f"submission: a file of the submission cannot be read. Got: data/x: {reason}. {UNREADABLE}"
        assert str(caught.value) == text


def test_a_copy_for_which_there_is_no_room_is_the_organizer_s_error(policy: Path) -> None:
    files, _ = submission_files(policy)
    (policy.parent / "taken").touch()
    with pytest.raises(OrganizerError) as caught:
        stage(files, policy.parent / "taken")
    assert str(caught.value) == (
        "submission: the submission cannot be copied. Got: NotADirectoryError: Not a directory, at data/deep/x.npy. "
        "Expected: room for 1073741824 bytes in the folder for temporary files. Next: free space there, or name "
        "another folder in TMPDIR."
    )
