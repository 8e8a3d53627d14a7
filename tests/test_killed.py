"""Runs that are killed at any moment: no score that was not earned, no process, and no folder after the next run."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from kit_world import write_kit_world
from submissions import DECLINES, INGESTION, ROOT, write_policy

SEED, KILLS = 20, 2
# A program is killed when it has printed so many lines, of those that it prints in all.
LINES = {"ingestion": 7, "run": 12}


@pytest.fixture
def world(tmp_path: Path) -> Path:
    folder = write_kit_world(tmp_path)
    write_policy(folder / "submission", DECLINES)
    for name in ("temporary", "marker"):
        (folder / name).mkdir()
    return folder


def start(world: Path, program: str, output: Path) -> subprocess.Popen[bytes]:
    """Start a program, whose processes name the world's folder in their command lines, policies as a library's."""
    paths = {"traces": world / "traces", "grid": world / "grid.yaml", "output": output}
    options = [text for name, path in paths.items() for text in (f"--{name}", str(path))]
    if program == "run":
        command = [str(ROOT / "starting_kit" / "kit.py"), "run", str(world / "submission"), *options]
        command += ["--reference", str(world / "reference")]
    else:
        command = [str(INGESTION), "--submission", str(world / "submission"), *options]
    environment = {**os.environ, "TMPDIR": str(world / "temporary"), "PYTHONPATH": str(world / "marker")}
    return subprocess.Popen([sys.executable, *command], env=environment, stdout=subprocess.PIPE)


def processes_of(world: Path) -> list[str]:
    """The command lines of the living processes that name the world's folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes()
        except OSError:
            continue
        if str(world).encode() in words:
            found.append(words.decode())
    return found


def earned(output: Path, program: str) -> Any:
    """What a run's files say that was measured: None without a signature, or without scores."""
    path = output / ("results.json" if program == "ingestion" else "scoring/scores.json")
    signed = program == "run" or (output / "results.sig").exists()
    if not path.exists() or not signed:
        return None
    content = json.loads(path.read_bytes())
    return content if program == "run" else [row["mean_par"] for row in content["cases"]]


@pytest.mark.skipif(sys.platform != "linux", reason="policies end with their simulator on Linux")
@pytest.mark.parametrize("program", LINES)
def test_a_killed_run_leaves_nothing_that_counts(world: Path, program: str) -> None:
    with start(world, program, world / "whole") as process:
        assert len(process.stdout.read().splitlines()) >= LINES[program] and process.wait() == 0
    whole = earned(world / "whole", program)
    for number, lines in enumerate(random.Random(SEED).sample(range(1, LINES[program]), KILLS)):
        output = world / f"output-{number}"
        with start(world, program, output) as process:
            for _ in range(lines):
                process.stdout.readline()
            os.kill(process.pid, signal.SIGKILL)
        deadline = time.monotonic() + 60
        while processes_of(world) and time.monotonic() < deadline:
            os.sched_yield()
        assert processes_of(world) == []
        assert earned(output, program) in (None, whole)
    with start(world, program, world / "next") as process:
        process.stdout.read()
    assert earned(world / "next", program) == whole and whole
    assert list((world / "temporary").iterdir()) == []
