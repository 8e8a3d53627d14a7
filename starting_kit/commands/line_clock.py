"""Seconds of each line of some files while a function runs, measured by Python's trace function."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

Place = tuple[str, int]


class LineClock:
    """Adds the time between two events to the line that runs between them; `seconds` and `counts` are by file and line.

    Only files below a folder have lines here. Time in a call to other files belongs to the calling line. Time in a call
    to a function of these files belongs to that function's lines, so each second is counted once. Other threads are not
    timed: a line that waits for a thread has the waiting time.
    """

    def __init__(self, folder: Path, now: Callable[[], float] = time.perf_counter) -> None:
        self.seconds: Counter[Place] = Counter()
        self.counts: Counter[Place] = Counter()
        self._folder, self._now = folder, now
        self._own: dict[str, bool] = {}
        # The lines that are at work, each called by the one before it.
        self._lines: list[Place] = []
        self._since = 0.0

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function and return its result."""
        before = sys.gettrace()
        sys.settrace(self._called)
        try:
            return function(*arguments)
        finally:
            sys.settrace(before)

    def _called(self, frame: FrameType, event: str, argument: Any) -> Callable[..., Any] | None:
        file = frame.f_code.co_filename
        if file not in self._own:
            self._own[file] = Path(file).is_relative_to(self._folder)
        if not self._own[file]:
            return None
        self._book()
        self._lines.append((file, frame.f_lineno))
        return self._moved

    def _moved(self, frame: FrameType, event: str, argument: Any) -> Callable[..., Any]:
        self._book()
        if event == "line":
            self._lines[-1] = (frame.f_code.co_filename, frame.f_lineno)
            self.counts[self._lines[-1]] += 1
        elif event == "return":
            self._lines.pop()
        return self._moved

    def _book(self) -> None:
        now = self._now()
        if self._lines:
            self.seconds[self._lines[-1]] += now - self._since
        # What booking takes itself is no line's.
        self._since = self._now()
