"""Some cases of a grid by name, where cases differ in their redundant experts alone."""

from __future__ import annotations

import pytest

from cases import grid_mapping
from commands.options import UsageError
from commands.selection import select, short_name
from placement.grid import grid_from_mapping

GRID = grid_from_mapping(
    grid_mapping(
        cases=[
            {"model": "M", "dataset": "d", "ep": [2], "redundant_experts": [0, 2]},
            {"model": "M", "dataset": "d", "ep": [4], "redundant_experts": [0, 8]},
        ]
    )
)


@pytest.mark.parametrize(
    ("name", "chosen"),
    [
        ("M/d ep 2", ["M/d ep 2"]),
        ("M/d:2", ["M/d ep 2"]),
        ("M/d ep 2 +0", ["M/d ep 2 +0"]),
        ("M/d:2+2", ["M/d ep 2"]),
        ("M/d:4+8", ["M/d ep 4 +8"]),
        # No case has this whole name.
        ("M/d:4", ["M/d ep 4 +0", "M/d ep 4 +8"]),
        ("M/d", ["M/d ep 2 +0", "M/d ep 2", "M/d ep 4 +0", "M/d ep 4 +8"]),
    ],
)
def test_a_name_selects_the_case_that_is_called_so(name: str, chosen: list[str]) -> None:
    assert [case.name for case in select(GRID, [name])] == chosen


def test_every_case_is_selected_by_both_of_its_names() -> None:
    for case in GRID.cases:
        assert select(GRID, [case.name]) == select(GRID, [short_name(case)]) == [case]


@pytest.mark.parametrize("name", ["M/d:2+1", "M/d ep 3", "M/e", "", "M/d:2+"])
def test_a_name_of_no_case_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"no such case.*one of M/d:2\+0, M/d:2, M/d:4\+0, M/d:4\+8"):
        select(GRID, [name])
