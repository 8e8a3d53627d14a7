"""The last line of `check` for an accepted policy: what the platform lacks, what was not checked, and the next step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from placement.isolation.missing_module import without

from .image import NUMPY, PYTHON
from .newer import Newer

INSTALL = "`make run PYTHON=python3.12` installs the platform's versions"


class Doubts(NamedTuple):
    """Modules that the platform lacks, and uses of numpy and Python that are newer than the platform."""

    missing: Sequence[str] = ()
    newer: Sequence[Newer] = ()

    def line(self) -> str:
        """What will fail on the platform, with the next step; "" where nothing is known to fail."""
        if self.missing:
            steps = "; ".join(map(without, self.missing))
            return f"accepted here, but the platform has no {', '.join(self.missing)}. Next: {steps}"
        if self.newer:
            have = f"use what Python {PYTHON} and numpy {NUMPY.version} have"
            return f"{_accepted()}, but the platform lacks {', '.join(map(str, self.newer))}. Next: {have}"
        return ""

    def verdict(self, next_step: str) -> str:
        """The last line of `check`; next_step: what to do where nothing is known to fail."""
        if line := self.line():
            return line
        if is_platform_numpy():
            return f"accepted. Next: {next_step}"
        return f"{_accepted()}. Next: {next_step}; {INSTALL}"


def newer_line(newer: Sequence[Newer]) -> str:
    """The line that names uses newer than the platform."""
    return f"newer than the platform: {', '.join(map(str, newer))}"


def is_platform_numpy() -> bool:
    """Whether this machine has the platform's version of numpy."""
    return NUMPY.installed() == NUMPY.version


def _accepted() -> str:
    return "accepted here" + ("" if is_platform_numpy() else "; not checked with the platform's numpy")
