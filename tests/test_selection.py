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


# Whatever a grid can name: blanks and colons, ends that look like an ep, and one name that begins another.
ODD = grid_from_mapping(
    grid_mapping(
        cases=[
            {"model": "M", "dataset": dataset, "ep": [2, 4], "redundant_experts": [4]}
            for dataset in ("a", "a b", "a:2", "a: 2 +4", "a ep 2", " a", "a ", "ep 2", "2", "+4")
        ]
    )
)


def test_every_case_of_odd_datasets_is_selected_by_both_of_its_names() -> None:
    for case in ODD.cases:
        assert select(ODD, [case.name]) == select(ODD, [short_name(case)]) == [case]


@pytest.mark.parametrize(
    ("name", "chosen"),
    [
        ("M/a", ["M/a ep 2 +4", "M/a ep 4"]),
        ("M/a b", ["M/a b ep 2 +4", "M/a b ep 4"]),
        ("M/a b : 4", ["M/a b ep 4"]),
        # A dataset's own name comes before another one's ep.
        ("M/a:2", ["M/a:2 ep 2 +4", "M/a:2 ep 4"]),
        ("M/a:2+4", ["M/a ep 2 +4"]),
        ("M/a ep 2:4", ["M/a ep 2 ep 4"]),
    ],
)
def test_of_several_datasets_that_fit_a_name_the_longest_is_meant(name: str, chosen: list[str]) -> None:
    assert [case.name for case in select(ODD, [name])] == chosen


@pytest.mark.parametrize("name", ["M/d:2+1", "M/d ep 3", "M/e", "", "M/d:2+"])
def test_a_name_of_no_case_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"no such case.*one of M/d:2\+0, M/d:2, M/d:4\+0, M/d:4\+8"):
        select(GRID, [name])
