"""Submissions that try to see, disturb or escape: each comes to its verdict in every mode that may change it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import runner
import verdicts
import world

ATTACKS = Path(__file__).resolve().parent / "attacks"

# What a policy answers, raises, prints and brings along, and what it does inside its process, is judged by the same
# code on every machine, so one mode is enough.
ANYWHERE_TEXT = """
    forge_ answer slow_answer close_descriptors print_ log_ fake_clock sleep ignore_signals hold_interpreter frames
    patch_ mutate_inputs exit_ crash_ raise_exits raise_unprintable raise_huge raise_group raise_problem command
    shadow_ bytecode link_ pipe socket_file many_ deep_folders giant_ odd_ unreadable no_policy empty policy_folder
    two_policies outer_folder send_ shut_ read_ahead memory_of memory_around memory_p memory_mmap memory_numpy
    raise_limits threads kill_self stop_self machine_code own_filters memoriser
"""
ANYWHERE = tuple(ANYWHERE_TEXT.split())
# Another user and other versions of Landlock differ in what they close in the file system and between processes.
# Landlock's first version leaves open what later ones close: emptying and moving files, the network, and signals.
BY_VERSION = ("files_", "scratch_", "signal_", "kill_p", "stop_p", "network")
DIFFERENT = (*BY_VERSION, "next_case_", "process_")
CONTROLS = ("honest", "wrong")


def names(mode: str) -> list[str]:
    """The attacks that a mode is run with."""
    known = verdicts.load_verdicts(world.without_landlock(mode))
    if mode == "platform":
        return [name for name in known if not name.startswith(ANYWHERE)]
    if mode == "local":
        # The other modes have these: what the first version of Landlock closes, a later one closes as well.
        return [name for name in known if world.impossible("platform") or not name.startswith(DIFFERENT)]
    different = BY_VERSION if mode == "old-landlock" else DIFFERENT
    return [name for name in known if name.startswith((*CONTROLS, *different))]


@pytest.fixture(scope="module")
def linux() -> None:
    if reason := world.impossible("local"):
        pytest.skip(reason)


# Each of the other modes takes as long again. What lies open in one of them alone, `make test-modes` finds.
MODES = [mode if mode == "local" else pytest.param(mode, marks=pytest.mark.modes) for mode in world.MODES]


@pytest.mark.parametrize("mode", MODES)
def test_every_attack_comes_to_its_verdict(mode: str, tmp_path: Path) -> None:
    if reason := world.impossible(mode):
        pytest.skip(reason)
    command = [sys.executable, str(ATTACKS / "runner.py"), "--mode", mode, "--report", str(tmp_path / "report.json")]
    attacks = names(mode)
    done = subprocess.run([*command, *attacks], capture_output=True, text=True, check=False)
    assert (tmp_path / "report.json").is_file(), done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert [row["name"] for row in report] == attacks
    assert {row["name"]: row["problems"] for row in report if row["problems"]} == {}
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("reason", ["", "no container"])
def test_every_attack_is_run_in_some_mode(monkeypatch: pytest.MonkeyPatch, reason: str) -> None:
    monkeypatch.setattr(world, "impossible", lambda mode: reason if mode in world.CONTAINERS else "")
    modes = ["local"] if reason else ["local", "platform"]
    assert {name for mode in modes for name in names(mode)} == set(verdicts.load_verdicts(False))


@pytest.mark.parametrize("prefix", [*ANYWHERE, *DIFFERENT, *CONTROLS])
def test_a_prefix_names_attacks(prefix: str) -> None:
    assert [name for name in verdicts.load_verdicts(False) if name.startswith(prefix)]


@pytest.mark.usefixtures("linux")
def test_the_runner_sees_an_open_door() -> None:
    closed = verdicts.Verdict("files_walk", "lists folders", "SAME", 2)
    (run,) = runner.run_all([closed], "without-landlock", 1)
    assert any("OPEN: list /tmp" in problem for problem in run.problems)


@pytest.fixture(scope="module")
def runs(linux: None) -> dict[str, world.Run]:
    """An honest policy, one that answers otherwise, and one that is wrong; the verdict of each is another one."""
    names = ("honest", "answer_hard_windows", "wrong")
    found = runner.run_all([verdicts.Verdict(name, "", "REFUSED", "own") for name in names], "local", 2)
    return {run.name: run for run in found}


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
def test_the_runner_sees_another_verdict(
    runs: dict[str, world.Run], name: str, verdict: str, status: str | None, problem: str
) -> None:
    run = replace(runs[name], problems=[])
    verdicts.judge(run, verdicts.Verdict(name, "", verdict, "own", status), runs["honest"])
    assert any(text.startswith(problem) for text in run.problems)
    assert any(text.startswith("expected refused, got ") for text in runs[name].problems)
