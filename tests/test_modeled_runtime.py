"""The formula of the score and the five leaderboard columns, to the last digit."""

import json
import math
from fractions import Fraction

import pytest
import yaml

from score_files import COST, ROOT
from scores.modeled_runtime import COLUMNS, case_score, case_table, modeled_seconds
from scores.modeled_runtime import leaderboard as columns_of

# Transfers of 2 s per slot and powers of two keep the sums by hand exact.
SIMPLE = {"balanced_compute_seconds": 60.0, "expert_bytes": 8, "bandwidth_bytes_per_second": 4.0}


def row(mean_par, transmit_amount, cost=SIMPLE):
    """What the formula needs of a row."""
    return {"mean_par": mean_par, "transmit_amount": transmit_amount, "cost": cost}


def leaderboard(rows, references):
    """The columns of rows and references in the same order."""
    named = {"model": "M", "dataset": "d", "ep": 2, "status": "ok"}
    return columns_of(case_table([(named | case, other) for case, other in zip(rows, references, strict=True)]))


def exact_seconds(case):
    """The formula in exact fractions of the stored numbers."""
    cost = {name: Fraction(value) for name, value in case["cost"].items()}
    transfer = case["transmit_amount"] * cost["expert_bytes"] / cost["bandwidth_bytes_per_second"]
    return cost["balanced_compute_seconds"] * Fraction(case["mean_par"]) + transfer


def shipped_rows():
    """Rows of the reference that ships."""
    return json.loads((ROOT / "reference_data" / "ds_eplb.json").read_text(encoding="utf-8"))["cases"]


def test_modeled_seconds_by_hand():
    assert modeled_seconds(row(1.5, 5)) == 60 * 1.5 + 5 * 8 / 4 == 100.0
    assert modeled_seconds(row(1.0, 0)) == 60.0
    assert modeled_seconds(row(1, 0)) == 60.0


@pytest.mark.parametrize(
    ("mean_par", "transmit_amount", "seconds"),
    [
        (1.385416666667, 6, 83.12558720258001),
        (1.458333333333, 5, 87.50048933544666),
        (1.274305555556, 12, 76.45950773847999),
        (1.0, 1, 60.00009786709333),
        (1.0, 29_696, 62.90626120362667),
    ],
)
def test_modeled_seconds_with_the_competitions_constants(mean_par, transmit_amount, seconds):
    case = row(mean_par, transmit_amount, COST)
    assert modeled_seconds(case) == seconds
    assert abs(Fraction(seconds) - exact_seconds(case)) <= Fraction(math.ulp(seconds))


def test_case_score_by_hand():
    assert case_score(row(1.5, 5), row(1.5, 5)) == 100.0
    assert case_score(row(1.0, 20), row(1.5, 5)) == 100.0
    assert case_score(row(1.5, 5), row(2.0, 5)) == 130.0
    assert case_score(row(2.0, 40), row(1.5, 5)) == 50.0


def test_half_the_modeled_time_scores_200():
    assert case_score(row(1.25, 30), row(2.5, 60)) == 200.0
    assert leaderboard([row(1.25, 30)], [row(2.5, 60)])["composite_score"] == 200.0


def test_the_worked_example_scores_what_the_page_says():
    ds_eplb = row(1.274305555556, 12, COST)
    assert round(case_score(row(1.385416666667, 6, COST), ds_eplb), 10) == 91.9807129328
    assert round(case_score(row(1.458333333333, 5, COST), ds_eplb), 10) == 87.3818058838


def test_the_five_columns_by_hand():
    references = [row(1.5, 5), row(2.0, 40), row(1.25, 10)]
    rows = [row(1.5, 5), row(1.0, 20), row(2.5, 25)]
    assert leaderboard(rows, references) == {
        # 100 * (100/100 + 200/100 + 95/200) / 3
        "composite_score": 115.8333333333,
        "mean_par": 1.6666666667,
        "transmit_amount": 50,
        # (1 + 0.5 + 2) / 3
        "par_vs_ds_eplb": 1.1666666667,
        # (1 + 0.5 + 2.5) / 3
        "transmit_vs_ds_eplb": 1.3333333333,
    }


def test_columns_are_those_of_the_competition_in_its_order():
    board = yaml.safe_load((ROOT / "competition.yaml").read_text(encoding="utf-8"))["leaderboards"][0]
    columns = sorted(board["columns"], key=lambda column: column["index"])
    assert tuple(column["key"] for column in columns) == COLUMNS
    assert tuple(leaderboard([row(1.5, 5)], [row(1.5, 5)])) == COLUMNS
    assert columns[board["primary_index"]]["key"] == "composite_score"
    assert [column["sorting"] for column in columns] == ["desc", "asc", "asc", "asc", "asc"]


def test_the_transmit_amount_is_an_integer_sum_and_the_others_are_floats():
    scores = leaderboard([row(1, 3_333_333_333), row(2, 3_333_333_334)], [row(1.5, 5), row(1.5, 5)])
    assert scores["transmit_amount"] == 6_666_666_667
    assert [type(scores[name]) for name in COLUMNS] == [float, float, int, float, float]


def test_means_are_exact_sums_divided_once():
    values = [5320380915.4, 920044423.9, 2856866690.3]
    assert (values[0] + values[1] + values[2]) / 3 == 3032430676.533333
    mean_par = leaderboard([row(value, 1) for value in values], [row(1.0, 1)] * 3)["mean_par"]
    assert mean_par == float(sum(map(Fraction, values)) / 3) == 3032430676.5333333


def test_means_do_not_depend_on_the_order_of_cases():
    rows = shipped_rows()
    changed = [case | {"mean_par": case["mean_par"] / 1.07} for case in rows]
    assert leaderboard(changed, rows) == leaderboard(changed[::-1], rows[::-1])


def test_every_column_has_at_most_10_decimals():
    rows = shipped_rows()
    changed = [case | {"mean_par": case["mean_par"] / 1.07, "transmit_amount": 77_777} for case in rows]
    scores = leaderboard(changed, rows)
    assert all(value == float(f"{value:.10f}") for value in scores.values())
    scores_exact = [100 * exact_seconds(ref) / exact_seconds(case) for case, ref in zip(changed, rows, strict=True)]
    assert scores["composite_score"] == round(float(sum(scores_exact) / len(rows)), 10)


def test_ds_eplb_scores_100_against_itself_on_the_reference_that_ships():
    rows = shipped_rows()
    assert leaderboard(rows, rows) == {
        "composite_score": 100.0,
        "mean_par": round(math.fsum(case["mean_par"] for case in rows) / len(rows), 10),
        "transmit_amount": sum(case["transmit_amount"] for case in rows),
        "par_vs_ds_eplb": 1.0,
        "transmit_vs_ds_eplb": 1.0,
    }


@pytest.mark.parametrize("mean_par", [1 + step / 997 for step in range(1, 60, 7)])
def test_a_case_against_itself_scores_100_in_every_column(mean_par):
    rows = [row(mean_par, 12_345, COST)] * 3
    scores = leaderboard(rows, rows)
    assert [scores[name] for name in COLUMNS if name.endswith(("score", "eplb"))] == [100.0, 1.0, 1.0]


def test_a_policy_that_moves_nothing_has_finite_columns():
    scores = leaderboard([row(1.5, 0)], [row(1.5, 5)])
    assert scores["transmit_amount"] == scores["transmit_vs_ds_eplb"] == 0
    assert scores["composite_score"] == round(100 * 100 / 90, 10)


@pytest.mark.parametrize(
    ("case", "reference", "message"),
    [
        (row(1.5, 10**10), row(1.5, 5), "transmit_amount = 10000000000 is outside 0 .. 1e10"),
        (row(1.5, -1), row(1.5, 5), "transmit_amount = -1 is outside 0 .. 1e10"),
        (row(1e10, 1), row(1.5, 5), "mean_par = 10000000000.0 is outside 0 .. 1e10"),
        (row(1.0, 0), row(1e10, 5), "composite_score = 1000000000016.6666 is outside 0 .. 1e10"),
        (row(math.inf, 1), row(1.5, 5), "mean_par = inf is outside 0 .. 1e10"),
        (row(math.nan, 1), row(1.5, 5), "composite_score = nan is outside 0 .. 1e10"),
    ],
)
def test_a_column_that_the_platform_cannot_store_raises(case, reference, message):
    with pytest.raises(ValueError, match="is outside") as caught:
        leaderboard([case], [reference])
    assert str(caught.value) == message


def test_the_largest_columns_that_can_be_stored():
    scores = leaderboard([row(1.5, 10**10 - 1)], [row(1.5, 5)])
    assert scores["transmit_amount"] == 9_999_999_999
