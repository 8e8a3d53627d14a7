"""Runs without a measured case: submissions that are refused, and data of the organizer's that cannot be used."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
import yaml

import ingestion
from placement.errors import sentence
from placement.submission.folder import find_policy
from submissions import DECLINES, grid_mapping, run_ingestion, stored_hotness, write_world

AT_THE_TOP = "Expected: policy.py at the top of the submission."
NO_POLICY = "the submission has no policy.py"
DATA = (
    "the name {0} is reserved for Codabench. Got: {0}, a file without a command. Expected: no such name at the top of "
    "the "
    "zip, where Codabench looks for a command to run. Next: rename the file in the zip and in the code, or put it "
    "into a "
    "folder beside policy.py."
)
TAKEN = "the name placement is the simulator's own"
NO_MODULE = "Expected: no module of this name beside policy.py. Next: rename the module."
TRACE = "traces/Large/two.npy"


def run(world: Path, submission: Path) -> tuple[int, str, str]:
    """Exit code, status and message of a run that measures nothing; without a trace to open it starts no process."""
    paths = {
        "submission": submission,
        "traces": world / "traces",
        "grid": world / "grid.yaml",
        "output": world / "output",
    }
    printed = io.StringIO()
    with redirect_stdout(printed):
        code = ingestion.main([text for name, path in paths.items() for text in (f"--{name}", str(path))])
    return code, *told(world, printed.getvalue())


def told(world: Path, printed: str) -> tuple[str, str]:
    """Status and message of a run that measured nothing, after a look at its files and its last line."""
    content = json.loads((world / "output" / "results.json").read_bytes())
    assert content["cases"] == []
    text = sentence(content["failure"])
    assert printed.splitlines()[-1] == f"ingestion: {content['status']}: {text}"
    assert (world / "output" / "explain.json").read_text() == '{"format": 3, "cases": {}}\n'
    assert np.load(world / "output" / "series.npz").files == []
    assert np.load(world / "output" / "decisions.npz").files == ["format"]
    return content["status"], text


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A world with nothing wrong."""
    return write_world(tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize(
    ("files", "text"),
    [
        ([], f"{NO_POLICY}. Got: nothing. {AT_THE_TOP} Next: put policy.py at the top of the zip."),
        (["submission.py"], f"{NO_POLICY}. Got: submission.py. {AT_THE_TOP} Next: rename submission.py to policy.py."),
        (["Policy.PY"], f"{NO_POLICY}. Got: Policy.PY. {AT_THE_TOP} Next: rename Policy.PY to policy.py."),
        (["polcy.py", "a.py"], f"{NO_POLICY}. Got: a.py, polcy.py. {AT_THE_TOP} Next: rename polcy.py to policy.py."),
        (["a.py", "b.py"], f"{NO_POLICY}. Got: a.py, b.py. {AT_THE_TOP} Next: put policy.py at the top of the zip."),
        (
            ["a/b/policy.py", "__MACOSX/b/policy.py", ".git/b/policy.py"],
            f"{NO_POLICY}. Got: a/b/policy.py. {AT_THE_TOP} "
            "Next: name the folder a/b, or put its files at the top of the zip.",
        ),
        (
            ["a/b/policy.py", "a/c/policy.py"],
            f"{NO_POLICY}. Got: a/. {AT_THE_TOP} Next: put policy.py at the top of the zip.",
        ),
        (["policy.py/x"], f"{NO_POLICY}. Got: policy.py/. {AT_THE_TOP} Next: put policy.py at the top of the zip."),
        (
            [f"{n}.txt" for n in range(12, 24)],
            f"{NO_POLICY}. Got: {', '.join(f'{n}.txt' for n in range(12, 22))} and 2 more. {AT_THE_TOP} "
            "Next: put policy.py at the top of the zip.",
        ),
        (
            ["mine/policy.py", "yours/policy.py"],
            f"the submission has several policy.py. Got: mine/policy.py, yours/policy.py. {AT_THE_TOP} "
            "Next: keep one of them.",
        ),
        (["policy.py", "metadata.yaml"], DATA.format("metadata.yaml")),
        (["policy.py", "metadata"], DATA.format("metadata")),
        (["policy.py", "placement.py"], f"{TAKEN}. Got: placement.py. {NO_MODULE}"),
        (["me/policy.py", "me/placement/__init__.py"], f"{TAKEN}. Got: placement/__init__.py. {NO_MODULE}"),
    ],
)
def test_a_submission_that_cannot_be_run_is_refused(tmp_path: Path, whole: Path, files: list[str], text: str) -> None:
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(DECLINES)
    assert run(whole, tmp_path) == (1, "refused", f"submission: {text}")


def test_a_submission_that_is_not_there_is_refused(tmp_path: Path, whole: Path) -> None:
    text = (
        f"{NO_POLICY}. Got: no folder {tmp_path / 'nothing'}. {AT_THE_TOP} Next: name the folder that holds policy.py."
    )
    assert run(whole, tmp_path / "nothing") == (1, "refused", f"submission: {text}")


def test_one_outer_folder_is_accepted_with_a_note(tmp_path: Path) -> None:
    for file in ("mine/policy.py", "__MACOSX/policy.py"):
        (tmp_path / file).parent.mkdir()
        (tmp_path / file).write_text(DECLINES)
    note = "policy.py was found in the folder mine/; put it at the top of the zip next time"
    assert find_policy(tmp_path) == (tmp_path / "mine", note)
    world = one_case(tmp_path / "world")
    done = run_ingestion(world, tmp_path)
    assert done.returncode == 0 and f"note: {note}\n" in done.stdout
    assert json.loads((world / "output" / "results.json").read_bytes())["notes"][1] == note


def one_case(folder: Path) -> Path:
    """A world with the case Large/two ep 2 alone."""
    world = write_world(folder)
    change_grid(cases=[{"model": "Large", "dataset": "two", "ep": [2]}])(world)
    return world


def save(values: np.ndarray) -> Callable[[Path], None]:
    """A change of a world: other values in the trace Large/two."""
    return lambda world: np.save(world / TRACE, values)


def change_grid(**changes: object) -> Callable[[Path], None]:
    """A change of a world: other values in its grid file."""
    return lambda world: write_text("grid.yaml", yaml.safe_dump(grid_mapping() | changes))(world)


def write_text(file: str, text: str) -> Callable[[Path], None]:
    """A change of a world: a file with another text."""
    return lambda world: (world / file).write_text(text) and None


def truncate(world: Path) -> None:
    """A trace whose copying was interrupted."""
    path = world / TRACE
    path.write_bytes(path.read_bytes()[:-100])


GOOD = stored_hotness("Large")
MANIFEST = "traces/manifest.yaml"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda world: (world / TRACE).unlink(), "trace Large/two: the trace is missing. Got: no file "),
        (lambda world: shutil.rmtree(world / "traces"), "trace Small/one: the trace is missing. Got: no file "),
        (lambda world: (world / "grid.yaml").unlink(), "grid: the grid cannot be read. Got: FileNotFoundError: "),
        (write_text("grid.yaml", "cases: ["), "grid: the grid cannot be read. Got: ParserError: "),
        (write_text("grid.yaml", "\x00"), "grid: the grid cannot be read. Got: ReaderError: "),
        (write_text("grid.yaml", ""), "grid: grid is not valid. Got: None. "),
        (change_grid(window=0), "grid: window is not valid. Got: 0. Expected: an integer of at least 1"),
        (change_grid(windwo=1), "grid: grid is not valid. Got: "),
        (write_text(MANIFEST, "{"), "manifest: the manifest cannot be read. Got: ParserError: "),
    ],
)
def test_a_grid_or_a_trace_that_is_not_there_is_the_organizer_s_error(
    tmp_path: Path, change: Callable[[Path], None], text: str
) -> None:
    (tmp_path / "policy.py").write_text(DECLINES)
    change(write_world(tmp_path))
    check(*run(tmp_path, tmp_path), text)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (truncate, "the trace cannot be read. Got: "),
        (save(GOOD.astype(float)), "the trace's values are not integers. Got: dtype float64. "),
        (
            save(GOOD[:, :2]),
            "the trace does not fit its model. Got: 2 layers, 8 experts. Expected: 3 layers, 8 experts. ",
        ),
        (write_text(MANIFEST, ""), "the manifest does not list the trace. Got: no entry traces: Large/two. "),
    ],
)
def test_a_trace_that_cannot_be_used_is_the_organizer_s_error(
    tmp_path: Path, change: Callable[[Path], None], text: str
) -> None:
    (tmp_path / "policy.py").write_text(DECLINES)
    world = one_case(tmp_path / "world")
    change(world)
    done = run_ingestion(world, tmp_path)
    assert done.stderr == ""
    check(done.returncode, *told(world, done.stdout), f"trace Large/two: {text}")


def check(code: int, status: str, message: str, text: str) -> None:
    """Compare an organizer's error with the beginning of its text."""
    assert (code, status, message[: len(text)]) == (2, "data_unavailable", text)
    assert " Expected: " in message and " Next: " in message and message.endswith(".")


def test_a_defect_of_the_program_itself_is_the_organizer_s_error(
    tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delattr(ingestion, "run_grid")
    (tmp_path / "policy.py").write_text(DECLINES)
    text = "the ingestion program failed. Next: organizers find the reason in the log."
    assert run(whole, tmp_path) == (2, "data_unavailable", text)
    assert "NameError" in capsys.readouterr().err


def test_names_of_files_cannot_steer_a_terminal_or_break_a_log(tmp_path: Path) -> None:
    (tmp_path / "a\x1b[31m\nfake line").mkdir()
    (tmp_path / "a\x1b[31m\nfake line" / "policy.py").write_text(DECLINES)
    note = "policy.py was found in the folder a\ufffd[31m fake line/; put it at the top of the zip next time"
    assert find_policy(tmp_path)[1] == note


@pytest.mark.skipif(sys.platform != "linux", reason="other systems take no name that is not UTF-8")
def test_a_refused_file_of_any_name_reaches_results_and_log(tmp_path: Path, whole: Path) -> None:
    (tmp_path / "policy.py").write_text(DECLINES)
    (tmp_path / os.fsdecode(b"\xff\x1b[31m\n")).symlink_to("/etc/passwd")
    done = run_ingestion(whole, tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    text = (
        "submission: a link does not lead to a file or folder of the submission. Got: \ufffd\ufffd[31m -> /etc/passwd. "
        "Expected: links that stay inside the submission. Next: replace the link by a copy of its target, or remove "
        "the link."
    )
    assert told(whole, done.stdout) == ("refused", text)
