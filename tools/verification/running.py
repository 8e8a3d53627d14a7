"""Runs a step into its log, and says what became of it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from placement.evaluation.interruption import SIGNALS

from .needs import lacking
from .steps import Step

PASS, FAIL, SKIPPED, INTERRUPTED, NOT_RUN = "pass", "FAIL", "skipped", "interrupted", "not run"
# What a step's programs have to end by themselves, before they are killed.
GRACE_SECONDS = 10.0
LOOK_SECONDS = 0.2
# Set by an interrupt. An exception could come between the start of a process and its place in a variable.
ASKED_TO_END = threading.Event()


class Outcome(NamedTuple):
    """A step's result, its figure or the reason of another result than `pass`, its seconds, and its log, if any."""

    name: str
    result: str
    figure: str = ""
    seconds: float = 0.0
    log: Path | None = None


def listen() -> None:
    """Have an interrupt, and the end of the terminal, end the step that runs, and let no other begin."""
    for number in SIGNALS:
        # What nohup has set is meant.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *signal_and_frame: ASKED_TO_END.set())


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
            while (code := ended(process)) is None and time.monotonic() < began + step.seconds:
                if ASKED_TO_END.is_set():
                    break
        finally:
            end(process)
    if code is not None:
        result, figure = judge(step, code, log)
    elif ASKED_TO_END.is_set():
        result, figure = INTERRUPTED, ""
    else:
        result, figure = FAIL, f"no end within {step.seconds} s"
    return Outcome(step.name, result, figure, time.monotonic() - began, log)


def ended(process: subprocess.Popen[bytes]) -> int | None:
    """The exit code of a process that ends within a moment."""
    try:
        return process.wait(LOOK_SECONDS)
    except subprocess.TimeoutExpired:
        return None


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
