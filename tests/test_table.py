"""Tables as text."""

from __future__ import annotations

import pandas as pd

from scores.table import aligned, cells, markdown

FRAME = pd.DataFrame({"plan": ["a", "long"], "mean": [1.256, 10.0], "n": [3, 1000], "word": ["tie", ""]})


def test_an_aligned_table_has_its_first_column_to_the_left() -> None:
    assert aligned(*cells(FRAME), ".2f").splitlines() == [
        "plan   mean     n  word",
        "a      1.26     3   tie",
        "long  10.00  1000",
    ]


def test_a_markdown_table_has_a_line_below_its_headings() -> None:
    assert markdown(*cells(FRAME)).splitlines() == [
        "| plan | mean | n | word |",
        "|---|---|---|---|",
        "| a | 1.26 | 3 | tie |",
        "| long | 10.00 | 1000 |  |",
    ]


def test_a_table_without_rows_has_its_headings() -> None:
    assert aligned(("a", "bc"), []) == "a  bc" and markdown(("a", "bc"), []) == "| a | bc |\n|---|---|"
