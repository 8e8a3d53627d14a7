"""A standard output that is closed, full or not read: one sentence, results that say the same, and nothing left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kit_world import write_kit_world
from placement.errors import OrganizerError
from placement.evaluation.machine import lack
from submissions import DECLINES, INGESTION, ROOT, write_policy

SAID = (
    "what is printed cannot be written to standard output. Got: {}. Expected: a terminal, a file on a disk with room, "
)
SAID += "or a program that reads to the end. Next: repeat the command with another standard output.\n"
FULL, CLOSED = "OSError: [Errno 28] No space left on device", "OSError: [Errno 9] Bad file descriptor"
UNREAD = "BrokenPipeError: [Errno 32] Broken pipe"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is of Linux")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_kit_world(tmp_path_factory.mktemp("printing"))
    write_policy(folder / "submission", DECLINES)
    (folder / "temporary").mkdir()
    return folder


def ingestion(world: Path) -> list[str]:
    names = {"submission": "submission", "traces": "traces", "grid": "grid.yaml", "output": "output"}
    return [str(INGESTION), *(text for name, path in names.items() for text in (f"--{name}", str(world / path)))]


def errors_of(world: Path, how: str, command: list[str]) -> tuple[int, str]:
    """The exit code of a program and what it prints to standard error; how: what a shell does with the other output."""
    shell = ["bash", "-c", f'set -o pipefail; "$0" "$@" {how}', sys.executable, *command]
    environment = {**os.environ, "TMPDIR": str(world / "temporary")}
    done = subprocess.run(shell, stderr=subprocess.PIPE, env=environment, text=True, timeout=600, check=False)
    assert list((world / "temporary").iterdir()) == []
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("how", "got"), [(">/dev/full", FULL), (">&- <&-", CLOSED), ("| head -1 >/dev/null", UNREAD), (">&- 2>&-", CLOSED)]
)
def test_a_run_without_a_log_measures_nothing_and_says_so(world: Path, how: str, got: str) -> None:
    said = "" if "2>" in how else f"ingestion: data_unavailable: {SAID.format(got)}"
    assert errors_of(world, how, ingestion(world)) == (2, said)
    results = json.loads((world / "output" / "results.json").read_bytes())
    assert (results["status"], results["failure"]["got"]) == ("data_unavailable", got)
    assert (world / "output" / "results.sig").exists()


def test_a_command_of_the_kit_s_says_so(world: Path) -> None:
    command = [str(ROOT / "starting_kit" / "kit.py"), "check", str(world / "submission")]
    command += ["--grid", str(world / "grid.yaml")]
    assert errors_of(world, ">/dev/full", command) == (2, f"kit.py: {SAID.format(FULL)}")
    assert errors_of(world, ">&-", [command[0], "--help"]) == (2, f"kit.py: {SAID.format(CLOSED)}")


@pytest.mark.parametrize(("how", "got"), [(">/dev/full", FULL), (">&-", "OSError: it is closed")])
def test_a_scoring_without_a_log_gives_no_score_and_says_so(world: Path, how: str, got: str) -> None:
    errors_of(world, ">/dev/null", ingestion(world))
    paths = {"results": "output", "reference": "reference", "output": "scores"}
    command = [str(ROOT / "scoring_program" / "scoring.py")]
    command += [text for name, path in paths.items() for text in (f"--{name}", str(world / path))]
    said = SAID.partition(". ")[2].format(got)
    assert errors_of(world, how, command) == (2, f"standard output: takes no more text. {said}")
    assert [path.name for path in (world / "scores").iterdir()] == ["detailed_results.html"]


@pytest.mark.parametrize(
    ("error", "got"),
    [
        (MemoryError(), "MemoryError"),
        (BlockingIOError(11, "Resource temporarily unavailable"), "BlockingIOError: [Errno 11] Resource temporarily"),
        (RuntimeError("can't start new thread"), "RuntimeError: can't start new thread"),
    ],
)
def test_what_a_machine_lacks_is_the_organizer_s(error: Exception, got: str) -> None:
    problem = lack(error)
    assert isinstance(problem, OrganizerError) and problem.got.startswith(got)
    assert problem.what == "the machine lacks what the run needs"


def test_other_errors_are_no_lack_of_the_machine_s() -> None:
    assert [lack(error) for error in (ValueError("11"), PermissionError(13, "denied"), KeyError(11))] == [None] * 3
