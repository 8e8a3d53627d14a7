"""The line after a run with failed cases: the command that repeats only the failed cases."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from placement.grid import Case

from .places import kit_command
from .selection import short_name

OPTION = "--case"


def repeat_line(typed: Sequence[str], cases: Sequence[Case], failed: Collection[str]) -> str:
    """The line that names the command: for the failed cases, or for the first case where every case failed.

    typed: the words of the command line, without the program; cases: names of all cases that ran; failed: names of the
    failed ones.
    """
    again = [case for case in cases if case.name in failed]
    which = "To repeat only the failed cases"
    if len(again) == len(cases):
        again, which = again[:1], "Every case failed; to repeat one case"
    return f"{which}: {kit_command(*_without_cases(typed), *(w for c in again for w in (OPTION, short_name(c))))}"


def _without_cases(typed: Sequence[str]) -> list[str]:
    """The words of a command line without --case and its values."""
    words, kept = iter(typed), []
    for word in words:
        if word == OPTION:
            next(words, None)
        elif not word.startswith(f"{OPTION}="):
            kept.append(word)
    return kept
