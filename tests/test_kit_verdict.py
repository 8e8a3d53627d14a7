"""Which of two is better, on made-up numbers: the interval, the table of Student's t, and a tie."""

from __future__ import annotations

import math

import pytest

from commands.compare import side_by_side
from commands.verdict import T_TABLE, difference, student_t


@pytest.mark.parametrize(
    ("first", "second", "word"),
    [
        ([10, 20, 30], [10, 20, 30], "tie"),
        ([10, 20, 30], [11, 21, 31], "B is better"),
        ([10, 20, 30], [9, 19, 29], "A is better"),
        ([1, 2, 3], [2, 3, 5], "tie"),
        ([1, 2, 3, 4], [2, 3.1, 4, 5.2], "B is better"),
        ([2, 3.1, 4, 5.2], [1, 2, 3, 4], "A is better"),
        ([10, 90], [11, 99], "tie"),
        ([5], [6], "not known"),
        ([5], [5], "not known"),
    ],
)
def test_a_policy_is_better_when_zero_lies_outside_the_interval(first, second, word) -> None:
    assert difference(first, second).verdict("A", "B") == word


def test_the_interval_is_student_s_and_paired() -> None:
    # Gains 1, 1, 2: mean 4/3, standard deviation 1/sqrt(3), so half of the interval is 4.303 / 3.
    found = difference([100, 2, 3], [101, 3, 5])
    assert found.mean == pytest.approx(4 / 3)
    assert (found.low, found.high) == pytest.approx((4 / 3 - 4.303 / 3, 4 / 3 + 4.303 / 3))


def test_an_end_at_zero_is_a_tie() -> None:
    assert difference([0, 0], [0, 0]) == (0, 0, 0)
    assert difference([0, 0], [0, 0]).verdict("A", "B") == "tie"


def test_one_pair_has_no_interval() -> None:
    found = difference([1], [3])
    assert found.mean == 2 and math.isnan(found.low) and math.isnan(found.high)


@pytest.mark.parametrize(
    ("freedom", "value"),
    [
        (1, 12.706),
        (4, 2.776),
        (10, 2.228),
        (11, 2.201),
        (20, 2.086),
        (24, 2.086),
        (25, 2.060),
        (59, 2.021),
        (999, 1.98),
    ],
)
def test_between_two_rows_of_the_table_the_wider_interval_is_taken(freedom: int, value: float) -> None:
    assert student_t(freedom) == value


def test_the_table_falls_with_the_degrees_of_freedom() -> None:
    assert list(T_TABLE) == sorted(T_TABLE)
    assert list(T_TABLE.values()) == sorted(T_TABLE.values(), reverse=True)


def test_policies_stand_side_by_side_with_a_verdict_for_each_pair_in_the_last_row() -> None:
    scores = {"A": [[90, 80], [92, 82]], "B": [[91, 80], [93, 82]], "C": [[90, 70], [95, 73]]}
    table = side_by_side(["one", "mean"], scores)
    assert list(table.columns[:3]) == ["A", "B", "C"]
    assert table["A"].tolist() == [91, 81] and table["B - A"].tolist() == [1, 0]
    # The first row's interval holds no 0 either, and has no word.
    assert table.loc["one", "B - A low"] > 0
    assert table["B - A verdict"].tolist() == ["", "tie"]
    assert table["C - A verdict"].tolist() == ["", "A is better"]
    assert [column for column in table.columns if column.endswith("verdict")] == [
        "B - A verdict",
        "C - A verdict",
        "C - B verdict",
    ]
