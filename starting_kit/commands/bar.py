"""A progress bar on the last line of a terminal, below the lines of a log."""

from __future__ import annotations

import re
import shutil
import time
from typing import TextIO

CELLS = 24
COUNTED = re.compile(r"\[(\d+)/(\d+)\] ")
ERASE_LINE = "\r\x1b[K"


class Bar:
    """The last line of a terminal."""

    def __init__(self, terminal: TextIO, estimates: bool = False) -> None:
        """estimates: whether the bar shows the remaining time."""
        self._terminal, self._began, self._estimates = terminal, time.monotonic(), estimates
        self._done = self._all = 0
        # What had been done before the first line: it took no time.
        self._first: int | None = None

    def line(self, text: str) -> None:
        """Print a line above the bar; a line that begins with [2/7] moves the bar."""
        if counted := COUNTED.match(text):
            self._done, self._all = map(int, counted.groups())
            self._first = self._done if self._first is None else self._first
        self._terminal.write(f"{ERASE_LINE}{text}\n")
        self.draw()

    def count(self, done: int, cases: int) -> None:
        """Move the bar without a line, and draw it."""
        self._done, self._all = done, cases
        self.draw()

    def draw(self) -> None:
        """Draw the bar again."""
        seconds, first = time.monotonic() - self._began, self._first or 0
        left = seconds_left(self._done - first, self._all - first, seconds) if self._estimates else None
        text = bar_text(self._done, self._all, seconds) + ("" if left is None else f", about {left:.0f} s left")
        self._terminal.write(ERASE_LINE + text[: shutil.get_terminal_size().columns - 1])
        self._terminal.flush()

    def erase(self) -> None:
        """Remove the bar."""
        self._terminal.write(ERASE_LINE)
        self._terminal.flush()


def bar_text(done: int, cases: int, seconds: float) -> str:
    """`[######------------------] 2 of 7 cases, 3 s`; without the number of cases while that is unknown."""
    filled = CELLS * done // cases if cases else 0
    progress = f"{done} of {cases} cases" if cases else "running"
    return f"[{'#' * filled}{'-' * (CELLS - filled)}] {progress}, {seconds:.0f} s"


def seconds_left(done: int, cases: int, seconds: float) -> float | None:
    """The remaining seconds at the present speed; None while nothing is known."""
    return seconds * (cases - done) / done if done > 0 else None
