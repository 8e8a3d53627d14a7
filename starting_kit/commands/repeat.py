"""The next step after a run in which cases failed: the command that repeats these alone."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from placement.grid import Case

from .places import kit_command
from .selection import short_name

OPTION = "--case"


def repeat_line(typed: Sequence[str], cases: Sequence[Case], failed: Collection[str]) -> str:
    """The line that names the command: of the failed cases, or of the first where all failed, which tells as much.

    typed: the words of the command that was run, without the program; cases: that were run; failed: names of some.
    """
    again = [case for case in cases if case.name in failed]
    which = "Then the failed cases alone"
    if len(again) == len(cases):
        again, which = again[:1], "Then one case alone, as every case failed"
    return f"{which}: {kit_command(*_without_cases(typed), *(w for c in again for w in (OPTION, short_name(c))))}"


def _without_cases(typed: Sequence[str]) -> list[str]:
    """The words that choose no case."""
    words, kept = iter(typed), []
    for word in words:
        if word == OPTION:
            next(words, None)
        elif not word.startswith(f"{OPTION}="):
            kept.append(word)
    return kept
