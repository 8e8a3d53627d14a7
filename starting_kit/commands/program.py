"""Runs the project's programs. After an interrupt the programs end in their own way and remove their temporary
files.
"""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from placement.evaluation.interruption import environment

from .bar import Bar

TICK_SECONDS = 0.5
# What a program may take to remove what it made.
ENDING_SECONDS = 30.0


def run_shown(program: Path, *arguments: object) -> int:
    """Run a program and show each line at once, on a terminal with a bar below; return the exit code."""
    bar = Bar(sys.stdout) if sys.stdout.isatty() else None
    with _started(program, arguments, stdout=subprocess.PIPE if bar else None) as process:
        if bar:
            _show(process, bar)
        # Python looks at a signal that came just before a wait when that is over: so none is long.
        while True:
            with suppress(subprocess.TimeoutExpired):
                return process.wait(TICK_SECONDS)


def run_quiet(program: Path, *arguments: object) -> tuple[int, str]:
    """Run a program and return the exit code and the printed text."""
    with _started(program, arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        output = None
        while output is None:
            with suppress(subprocess.TimeoutExpired):
                output, _ = process.communicate(timeout=TICK_SECONDS)
        return process.returncode, output.decode("utf-8", "backslashreplace")


@contextmanager
def _started(program: Path, arguments: tuple[object, ...], **streams: int | None) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, str(program), *map(str, arguments)]
    with subprocess.Popen(command, env=environment(), **streams) as process:
        try:
            yield process
        finally:
            # Whatever ends the command ends the program, too.
            if process.poll() is None:
                process.terminate()
                try:
                    process.communicate(timeout=ENDING_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()


def _show(process: subprocess.Popen[bytes], bar: Bar) -> None:
    """Print a program's lines until the program ends."""
    descriptor, rest = process.stdout.fileno(), b""
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while True:
            bar.draw()
            if not selector.select(TICK_SECONDS):
                continue
            chunk = os.read(descriptor, 2**16)
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines if chunk else [rest] if rest else []:
                bar.line(line.decode("utf-8", "backslashreplace"))
            if not chunk:
                break
    bar.erase()
