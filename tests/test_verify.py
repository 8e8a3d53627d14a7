"""`make verify`: a table of what passed, failed and was skipped, on steps of a line; CI runs a part of its steps."""

from __future__ import annotations

import io
import json
import os
import re
import select
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import browser
import verify
import world
from docs import ROOT
from kit_world import write_kit_world
from verification import kit_trial, needs, running, shipped_reference
from verification.bars import check_bars
from verification.gallery import MEASURED_HERE, check_gallery, printed_score, stated_scores
from verification.steps import STEPS, Step

DONE = Step("done", "echo 1 passed; echo 3 passed", r"(\d+ passed)")
FAILS = Step("fails", "echo 2 passed; echo no; exit 3", r"(\d+ passed)")
SILENT = Step("silent", "true", r"(\d+ passed)")
KILLED = Step("killed", "kill -KILL $$", "")
# It hangs, but not longer than a moment.
HANGS = Step("hangs", "exec tail -f /dev/null", "", seconds=0)


def rows(output: Path) -> list[list[str]]:
    """The cells of the table but for seconds and log."""
    lines = [line for line in (output / "verify.md").read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")][:3] for line in lines[1:]]


def run(steps: list[Step], folder: Path, *arguments: str) -> int:
    return verify.main(["--output", str(folder), *arguments], steps, folder)


def test_a_table_has_each_step_with_its_result_and_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(needs.NEEDS, "root", lambda: "A container needs root.")
    skipped = Step("skipped", "touch made", "", ("root",))
    assert run([FAILS, skipped, SILENT, KILLED, HANGS, DONE], tmp_path) == 1
    assert rows(tmp_path) == [
        ["fails", "FAIL", "exit code 3, 2 passed"],
        ["skipped", "skipped", "because a container needs root"],
        ["silent", "FAIL", "the output has no figure"],
        ["killed", "FAIL", "killed by SIGKILL"],
        ["hangs", "FAIL", "no end within 0 s"],
        ["done", "pass", "3 passed"],
    ]
    text = (tmp_path / "verify.md").read_text(encoding="utf-8")
    assert "\n1 pass, 4 FAIL, 1 skipped; 0 min 00 s\n" in text and not (tmp_path / "made").exists()
    printed = capsys.readouterr().out
    assert f"[6/6] done: {DONE.command}, log {tmp_path}/verify/done.log\n    pass: 3 passed, 0 s, so far 0 m" in printed
    # The end of a log that failed, and the table.
    assert "\n    2 passed\n    no\n    FAIL: exit code 3, 2 passed, " in printed and text in printed
    assert (tmp_path / "verify" / "fails.log").read_text() == f"$ {FAILS.command}\n2 passed\nno\n"


def test_skipped_steps_fail_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(needs.NEEDS, "root", lambda: "no root")
    assert run([DONE, Step("skipped", "false", "", ("root",))], tmp_path) == 0
    assert [row[1] for row in rows(tmp_path)] == ["pass", "skipped"]


def test_a_log_that_ci_cannot_show_afterwards_is_printed_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long = Step("long", "seq 1 40; false", "", ci=True)
    assert run([long, DONE], tmp_path, "--ci") == 1
    assert [row[0] for row in rows(tmp_path)] == ["long"]
    assert "\n    1\n    2\n" in capsys.readouterr().out
    assert run([long, DONE], tmp_path, "--only", "long") == 1
    assert "\n    15\n" not in capsys.readouterr().out


def test_a_process_that_a_step_leaves_behind_is_ended(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "held")
    reader = os.open(tmp_path / "held", os.O_RDONLY | os.O_NONBLOCK)
    step = Step("leaves", "exec 3>held; tail -f /dev/null & echo 1", r"^(\d+)$")
    # Its output is the process's too, and nobody waits for its end.
    assert running.run_step(step, tmp_path, tmp_path / "log").result == "pass"
    assert select.select([reader], [], [], 60)[0] and os.read(reader, 1) == b""
    os.close(reader)


INTERRUPTED = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
import verify
from verification.running import listen
from verification.steps import Step
listen()
steps = [Step("done", "echo 3", "3"), Step("long", "echo $$; kill -INT $PPID; exec tail -f /dev/null", ""),
         Step("last", "echo 3", "3")]
sys.exit(verify.main(["--output", sys.argv[1]], steps, Path(sys.argv[1])))
"""


def test_an_interrupt_leaves_a_table_of_what_ran_and_no_process(tmp_path: Path) -> None:
    command = [sys.executable, "-c", INTERRUPTED, str(tmp_path), *sys.path]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 130
    assert rows(tmp_path) == [["done", "pass", "3"], ["long", "interrupted", ""], ["last", "not run", ""]]
    assert "1 pass, 1 interrupted, 1 not run; " in done.stdout
    process = int((tmp_path / "verify" / "long.log").read_text().splitlines()[1])
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


CHECK = """
import os, runpy, signal, sys
sys.path[:0], sys.argv = sys.argv[2:], ["verify.py", "--check", "gallery"]
import verification.gallery
verification.gallery.check_gallery = lambda folder: os.kill(os.getpid(), signal.SIGINT) or ("all rows", [])
runpy.run_path(sys.path[0] + "/verify.py", run_name="__main__")
"""


def test_an_interrupted_check_is_no_result() -> None:
    command = [sys.executable, "-c", CHECK, "", str(ROOT / "tools"), *sys.path]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stdout) == (130, "verify.py: interrupted\n")


def test_an_unknown_step_and_two_choices_at_once_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, told in (
        (["--only", "others"], "argument --only: invalid choice: 'others' (choose from "),
        (["--ci", "--only", "done"], "argument --only: not allowed with argument --ci"),
    ):
        with pytest.raises(SystemExit) as ended:
            run([DONE], tmp_path, *words)
        assert ended.value.code == 2 and told in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


# The steps as they ship.


def test_every_step_has_a_name_of_its_own_and_known_needs() -> None:
    assert len({step.name for step in STEPS}) == len(STEPS)
    assert {name for step in STEPS for name in step.needs} == set(needs.NEEDS)
    assert needs.BROWSERS == browser.NAMES


def test_what_a_step_runs_is_there() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text() + (ROOT / "kit.mk").read_text(), re.M))
    for step in STEPS:
        for command in step.command.split(" && "):
            words = command.split()
            assert words[1] in targets if words[0] == "make" else words[0] == ".venv/bin/python", command
            assert all(next(ROOT.glob(word), None) for word in words if word.startswith(("tests/", "tools/"))), command
            if "--check" in words:
                assert words[-1] in verify.CHECKS


def test_attacks_are_run_in_every_mode() -> None:
    modes = [step.command.split()[-1] for step in STEPS if "attacks/runner.py" in step.command]
    assert sorted(modes) == sorted(world.MODES)


def test_ci_calls_readmes_test_command_and_ends_with_the_tables_exit_code() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert script[-2:] == ["make test", ".venv/bin/python tools/verify.py --ci"]
    assert {"set -euo pipefail", "make clean"} <= set(script)
    assert not any(" | " in line for line in script)


def test_a_python_that_is_there_and_does_not_start_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs.sys, "version_info", (3, 11, 7))
    monkeypatch.setattr(needs, "PYENV", tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    script = tmp_path / "python3.12"
    script.write_text("#!/bin/sh\nexit 127\n")
    script.chmod(0o755)
    assert needs.lacking(("python3.12",)) == "there is no python3.12"
    script.write_text("#!/bin/sh\n")
    assert needs.lacking(("python3.12",)) == ""


# The checks that are steps.


def test_ratios_are_held_against_their_bars() -> None:
    row = {"hash_passes": 3.8, "replay_passes": 4.5, "case_passes": 11.0, "plain_loop_ratio": 1749.0}
    found = "hash 3.8 of at most 5, replay 4.5 of at most 9, replay with opening 11.0 of at most 18, "
    assert check_bars({"cases": [row, row | {"hash_passes": 3.0}]}) == (found + "plain loop 1749.0 of at least 80", [])
    _, broken = check_bars({"cases": [row, row | {"hash_passes": 5.1, "plain_loop_ratio": 79.0}]})
    assert broken == ["hash 5.1 of at most 5", "plain loop 79.0 of at least 80"]


def test_a_check_prints_what_it_found_and_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(verify.CHECKS, "bars", lambda: ("hash 5.1", ["hash 5.1 of at most 5"]))
    assert verify.main(["--check", "bars"]) == 1
    monkeypatch.setitem(verify.CHECKS, "bars", lambda: ("hash 3.8", []))
    assert verify.main(["--check", "bars"]) == 0
    monkeypatch.setattr(verify, "OUTPUT", Path("/nowhere"))
    monkeypatch.setitem(verify.CHECKS, "bars", verify._bars)
    assert verify.main(["--check", "bars"]) == 2
    assert capsys.readouterr().out.splitlines() == [
        "found: hash 5.1",
        "wrong: hash 5.1 of at most 5",
        "found: hash 3.8",
        "[Errno 2] No such file or directory: '/nowhere/benchmark/benchmark.json'",
    ]


def test_a_row_of_the_gallery_with_another_score_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "starting_kit").mkdir()
    (tmp_path / "starting_kit" / "kit.py").write_text("print('composite_score: 68.0000')\n")
    table = "| policy | score |\n|---|---|\n| `policies/static` | 68.0000 |\n| `policies/once` | 70.0000 |\n"
    (tmp_path / "starting_kit" / "README.md").write_text(table)
    assert check_gallery(tmp_path, ["static"]) == ("static 68.0000", [])
    found, wrong = check_gallery(tmp_path, ["static", "once"])
    assert found == "static 68.0000, once 68.0000"
    assert wrong == ["starting_kit/README.md, the gallery: the row of once is 70.0000, the run's score 68.0000"]
    assert set(MEASURED_HERE) <= {name.removeprefix("policies/") for name in stated_scores(ROOT)}


def test_a_command_that_fails_has_no_score_and_its_output_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert printed_score(["bash", "-c", "echo composite_score: 1.5; exit 4"], tmp_path) is None
    assert capsys.readouterr().out == "composite_score: 1.5\nexit code 4\n"


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def test_the_kit_of_the_bundle_scores_elsewhere_what_the_table_states(tmp_path: Path) -> None:
    assert kit_trial.check_kit(tmp_path) == ("", ["there is no dist/competition.zip. Next: make bundle"])
    kit = {"Makefile": b"run:\n\t@cat deep/score\n", "deep/score": b"composite_score: 89.7551\n"}
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "competition.zip").write_bytes(zipped({"starting_kit.zip": zipped(kit)}))
    (tmp_path / "starting_kit").mkdir()
    readme = tmp_path / "starting_kit" / "README.md"
    readme.write_text("| `policy.py` | the template | 89.7551 |\n")
    assert kit_trial.check_kit(tmp_path) == ("composite_score: 89.7551, 2 files", [])
    readme.write_text("| `policy.py` | the template | 90.0000 |\n")
    _, wrong = kit_trial.check_kit(tmp_path)
    assert wrong == ["the kit's template scores 89.7551, the repository's 90.0000"]


def test_a_reference_is_computed_again(tmp_path: Path) -> None:
    world = write_kit_world(tmp_path)
    files = world / "grid.yaml", world / "traces", world / "reference"
    found, wrong = shipped_reference.check_reference(*files)
    assert re.fullmatch(r"2 cases and \d+ curves as they ship, byte for byte", found) and wrong == []
    path = world / "reference" / "ds_eplb.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"versions": {"numpy": "another"}}))
    found, wrong = shipped_reference.check_reference(*files)
    assert found.endswith(" curves as they ship, digit for digit") and wrong == []
    content["cases"][0]["mean_par"] += 1e-12
    path.write_text(json.dumps(content))
    with np.load(world / "reference" / "series.npz") as stored:
        curves = dict(stored)
    name = min(curves)
    np.savez(world / "reference" / "series.npz", **curves | {name: curves[name] + 1e-12, "more": np.ones(1)})
    found, wrong = shipped_reference.check_reference(*files)
    assert found.endswith(" curves differ")
    assert wrong == ["ds_eplb.json, cases", f"series.npz, {name}", "series.npz, more"]
