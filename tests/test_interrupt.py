"""An interrupted command ends at once, says so, and leaves no process and no temporary file."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from kit_world import write_kit_world
from placement.evaluation import interruption
from submissions import INGESTION, ROOT, write_policy

HANGS = "import signal\nprint('began', flush=True)\ndef rebalance(*arguments):\n    while True: signal.pause()\n"


def interrupt(command: list[str], temporary: Path, times: int) -> tuple[int, str]:
    """Run a command until a policy of its began, interrupt its group, and return its exit code and last line."""
    temporary.mkdir()
    process = subprocess.Popen(
        [sys.executable, *command],
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 600
    while not list(temporary.glob("*/case-*")) and process.poll() is None and time.monotonic() < deadline:
        # Looking without a pause would take a core from the program.
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.01)
    for _ in range(times):
        os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=600)
    return process.returncode, output.splitlines()[-1]


@pytest.mark.skipif(sys.platform != "linux", reason="policies end with their simulator on Linux")
@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("command", ["check", "compare", "ingestion"])
def test_an_interrupted_command_leaves_nothing(tmp_path: Path, command: str, times: int) -> None:
    world, temporary = write_kit_world(tmp_path / "world"), tmp_path / "temporary"
    policy = str(write_policy(world / "submission", HANGS))
    commands = {"check": [str(ROOT / "starting_kit" / "kit.py"), "check", policy]}
    options = {"--submission": policy, "--traces": world / "traces", "--grid": world / "grid.yaml"}
    options["--output"] = world / "output"
    arguments = [str(text) for option in options.items() for text in option]
    commands["ingestion"] = [str(INGESTION), *arguments]
    kit = [
        str(ROOT / "starting_kit" / "kit.py"),
        "compare",
        policy,
        policy,
        "--seeds",
        "0",
        "--reference",
        str(world / "reference"),
    ]
    commands["compare"] = [*kit, *arguments[2:]]
    words = {name: f"{name}: interrupted" for name in ("check", "compare")}
    words["ingestion"] = "ingestion: interrupted, there are no results"
    assert interrupt(commands[command], temporary, times) == (130, words[command])
    assert list(temporary.iterdir()) == []
    assert not (world / "output" / "results.json").exists()


def test_what_is_made_while_an_interrupt_removes_the_folder_is_not_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, rmtree, refused = tmp_path / "run", shutil.rmtree, []
    (folder / "case-one").mkdir(parents=True)

    def meanwhile(path: str, **options: bool) -> None:
        try:
            (folder / "case-two").mkdir()
        except FileNotFoundError:
            refused.append(path)
        rmtree(path, **options)

    monkeypatch.setattr(interruption.shutil, "rmtree", meanwhile)
    interruption.remove(str(folder))
    assert len(refused) == 1 and list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="signals to a process are of Unix")
def test_an_interrupted_program_ends_when_nobody_reads_its_lines_any_more() -> None:
    program = "import os, signal, sys\nsys.path.insert(0, sys.argv[1])\n"
    program += "from placement.evaluation.interruption import end_when_interrupted\n"
    program += (
        "end_when_interrupted('interrupted')\nsys.stdin.read()\nos.kill(os.getpid(), signal.SIGTERM)\nsignal.pause()"
    )
    reading, writing = os.pipe()
    arguments = [sys.executable, "-c", program, str(INGESTION.parent)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=writing) as process:
        os.close(writing)
        os.close(reading)
        process.communicate(timeout=600)
    assert process.returncode == interruption.INTERRUPTED
