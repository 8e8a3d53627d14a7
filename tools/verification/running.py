"""Runs a step into its log, and says what became of it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from .needs import lacking
from .steps import Step

PASS, FAIL, SKIPPED, INTERRUPTED, NOT_RUN = "pass", "FAIL", "skipped", "interrupted", "not run"
# What a step's programs have to end by themselves, before they are killed.
GRACE_SECONDS = 10.0


class Outcome(NamedTuple):
    """A step's result, its figure or the reason of another result than `pass`, its seconds, and its log, if any."""

    name: str
    result: str
    figure: str = ""
    seconds: float = 0.0
    log: Path | None = None


def run_step(step: Step, folder: Path, log: Path) -> Outcome:
    """Run a step in a folder. A step that fails, hangs or is killed is an outcome, and so is an interrupt.

    The output goes into a file, not a pipe: a process that a step leaves behind cannot hold anybody up.
    """
    if reason := lacking(step.needs):
        return Outcome(step.name, SKIPPED, f"because {reason[0].lower()}{reason[1:]}")
    began = time.monotonic()
    with log.open("wb") as output:
        output.write(f"$ {step.command}\n".encode())
        output.flush()
        # A session of its own: all that the step has started can be ended.
        process = subprocess.Popen(
            ["bash", "-c", step.command],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            result, figure = judge(step, process.wait(step.seconds), log)
        except subprocess.TimeoutExpired:
            result, figure = FAIL, f"no end within {step.seconds} s"
        except KeyboardInterrupt:
            result, figure = INTERRUPTED, ""
        finally:
            end(process)
    return Outcome(step.name, result, figure, time.monotonic() - began, log)


def judge(step: Step, code: int, log: Path) -> tuple[str, str]:
    """The result of a step that ended with an exit code, and its figure."""
    if code < 0:
        return FAIL, f"killed by {signal.Signals(-code).name}"
    text = log.read_text(encoding="utf-8", errors="replace").partition("\n")[2]
    found = re.findall(step.figure, text, re.MULTILINE)
    if code:
        return FAIL, ", ".join([f"exit code {code}", *found[-1:]])
    return (PASS, found[-1]) if found else (FAIL, "the output has no figure")


def end(process: subprocess.Popen[bytes]) -> None:
    """End all processes of a step: as with Ctrl-C, and after a while for certain."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
    # What it has left running goes too; none may be left.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
