"""Submissions that try to see, disturb or escape: in every mode each comes to what attacks/verdicts.yaml says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import judge
import runner
import world

ATTACKS = Path(__file__).resolve().parent / "attacks"

# Other kernels and users differ in what they close in the file system and between processes; the rest of the attacks
# would only tell again what two modes have told.
WHOLE = ("local", "platform")
DIFFERENT = ("files_", "next_case_", "scratch_", "signal_", "kill_", "stop_", "network", "process_", "honest", "wrong")


def names(mode: str) -> list[str]:
    """The attacks that a mode is run with."""
    verdicts = judge.load_verdicts(world.without_landlock(mode))
    return [name for name in verdicts if mode in WHOLE or name.startswith(DIFFERENT)]


@pytest.fixture
def linux() -> None:
    if reason := world.impossible("local"):
        pytest.skip(reason)


@pytest.mark.parametrize("mode", world.MODES)
def test_every_attack_comes_to_its_verdict(mode: str, tmp_path: Path) -> None:
    if reason := world.impossible(mode):
        pytest.skip(reason)
    command = [sys.executable, str(ATTACKS / "runner.py"), "--mode", mode, "--report", str(tmp_path / "report.json")]
    done = subprocess.run([*command, *names(mode)], capture_output=True, text=True, check=False)
    assert (tmp_path / "report.json").is_file(), done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert [row["name"] for row in report] == names(mode)
    assert {row["name"]: row["problems"] for row in report if row["problems"]} == {}
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.usefixtures("linux")
def test_the_runner_sees_an_open_door() -> None:
    closed = judge.Verdict("files_walk", "lists folders", "SAME", 2)
    (run,) = runner.run_all([closed], "without-landlock", 1)
    assert any("OPEN: list /tmp" in problem for problem in run.problems)


@pytest.mark.usefixtures("linux")
@pytest.mark.parametrize(
    ("name", "verdict", "status", "problem"),
    [
        ("wrong", "SAME", None, "expected scored, got failed (invalid_answer)"),
        ("wrong", "FAIL", "timeout", "expected cases timeout, got failed (invalid_answer)"),
        ("wrong", "REFUSED", None, "expected refused, got failed (invalid_answer)"),
        ("honest", "FAIL", "crashed", "expected failed, got scored"),
        ("answer_hard_windows", "SAME", None, "the results are not the honest ones"),
    ],
)
def test_the_runner_sees_another_verdict(name: str, verdict: str, status: str | None, problem: str) -> None:
    (run,) = runner.run_all([judge.Verdict(name, "", verdict, "own", status)], "local", 1)
    assert any(text.startswith(problem) for text in run.problems)
