"""Which of two is better, on made-up numbers: the interval, the table of Student's t, and a tie."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from commands.compare_table import as_csv, shown, side_by_side
from commands.verdict import T_TABLE, difference, spread, student_t


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


def test_the_spread_is_the_standard_deviation_of_a_sample() -> None:
    # Mean 7/3: (16 + 1 + 25) / 9 over two degrees of freedom.
    assert spread([1, 2, 4]) == pytest.approx(math.sqrt(7 / 3))
    assert spread([5, 5]) == 0 and math.isnan(spread([5]))


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
    assert list(table.columns[3:6]) == ["A sd", "B sd", "C sd"]
    assert table.loc["one", ["A sd", "C sd"]].tolist() == pytest.approx([math.sqrt(2), math.sqrt(12.5)])
    # The first row's interval holds no 0 either, and has no word.
    assert table.loc["one", "B - A low"] > 0
    assert table["B - A verdict"].tolist() == ["", "tie"]
    assert table["C - A verdict"].tolist() == ["", "A is better"]
    assert [column for column in table.columns if column.endswith("verdict")] == [
        "B - A verdict",
        "C - A verdict",
        "C - B verdict",
    ]


def made_up(*seeds: tuple[list[list[float]], list[list[float]]]) -> pd.DataFrame:
    """The table of two policies; seeds: of each the scores of A and of B, by row."""
    first, second = zip(*seeds, strict=True)
    table = side_by_side(["one", "mean"], {"A": list(first), "B": list(second)})
    table.attrs["policies"] = {"A": "my_policy", "B": "other"}
    return table


def test_standard_deviations_are_shown_where_there_are_several_seeds() -> None:
    one = made_up(([90, 80], [91, 80]))
    two = made_up(([90, 80], [91, 80]), ([92, 84], [94, 84]))
    assert list(shown(two)) == ["", "A", "B", "A sd", "B sd", "B - A", "A or B"]
    assert list(shown(one)) == ["", "A", "B", "B - A", "A or B"]
    assert list(shown(one, verdicts=False)) == ["", "A", "B", "B - A"]
    assert shown(two)["B sd"].tolist() == pytest.approx([math.sqrt(4.5), math.sqrt(8)])


def test_the_csv_has_every_number_and_the_policies_names() -> None:
    assert as_csv(made_up(([90, 80], [91, 80]))).splitlines() == [
        "case,A my_policy,B other,A sd,B sd,B - A,B - A low,B - A high,B - A verdict",
        "one,90.0,91.0,,,1.0,,,",
        "mean,80.0,80.0,,,0.0,,,not known",
    ]
