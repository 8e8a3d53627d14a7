"""The command that repeats the failed cases of a run alone."""

from __future__ import annotations

import re
import shlex

import pytest

from cases import grid_mapping
from commands.places import kit_command
from commands.repeat import repeat_line
from commands.selection import select
from placement.grid import grid_from_mapping

GRID = grid_from_mapping(
    grid_mapping(cases=[{"model": "M", "dataset": "a b", "ep": [2, 4]}, {"model": "M", "dataset": "c", "ep": [4]}])
)
FIRST, SECOND, THIRD = (case.name for case in GRID.cases)


@pytest.mark.parametrize(
    ("typed", "failed", "line"),
    [
        ("run", [THIRD], "To repeat only the failed cases: {} run --case M/c:4"),
        (
            "run p --grid practice --jobs 1",
            [THIRD, SECOND],
            "To repeat only the failed cases: {} run p --grid practice --jobs 1 --case 'M/a b:4' --case M/c:4",
        ),
        (
            "run 'my policy' --case 'M/a b' --seed 3 --case=M/c",
            [FIRST],
            "To repeat only the failed cases: {} run 'my policy' --seed 3 --case 'M/a b:2'",
        ),
        (
            "run",
            [FIRST, SECOND, THIRD],
            "Every case failed; to repeat one case: {} run --case 'M/a b:2'",
        ),
    ],
)
def test_the_failed_cases_are_named_and_all_other_words_kept(typed: str, failed: list[str], line: str) -> None:
    told = repeat_line(shlex.split(typed), GRID.cases, failed)
    assert told == line.format(kit_command())
    named = re.findall(r"--case ('[^']*'|\S+)", told)
    expected = failed[:1] if len(failed) == len(GRID.cases) else sorted(failed, key=[FIRST, SECOND, THIRD].index)
    assert [case.name for case in select(GRID, [name.strip("'") for name in named])] == expected
