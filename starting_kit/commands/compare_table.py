"""The table of `compare`: scores side by side, their spread over seeds, and the differences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

from .verdict import difference, spread

if TYPE_CHECKING:
    import pandas as pd


def side_by_side(rows: Sequence[str], scores: dict[str, list[list[float]]]) -> pd.DataFrame:
    """The table of `compare`; scores: by policy, [seed][row].

    Columns: means over the seeds (`A`), standard deviations (`A sd`), and the results of `difference` for each pair.
    """
    import pandas as pd

    by_row = {letter: list(zip(*by_seed, strict=True)) for letter, by_seed in scores.items()}
    columns: dict[str, list[Any]] = {}
    for letter, values in by_row.items():
        columns[letter] = [math.fsum(seeds) / len(seeds) for seeds in values]
    for letter, values in by_row.items():
        columns[f"{letter} sd"] = [spread(seeds) for seeds in values]
    for first, second in combinations(by_row, 2):
        differences = [difference(*pair) for pair in zip(by_row[first], by_row[second], strict=True)]
        name = f"{second} - {first}"
        columns[name] = [each.mean for each in differences]
        columns[f"{name} low"] = [each.low for each in differences]
        columns[f"{name} high"] = [each.high for each in differences]
        words = [""] * (len(rows) - 1) + [differences[-1].verdict(first, second)]
        columns[f"{name} verdict"] = words
    return pd.DataFrame(columns, index=pd.Index(rows))


def shown(table: pd.DataFrame, verdicts: bool = True) -> pd.DataFrame:
    """The printed table: `mean ± half of the interval` for each pair, and the verdict.

    With several seeds, standard deviations are shown, too.
    """
    import pandas as pd

    letters = list(table.attrs["policies"])
    columns = {"": table.index, **{letter: table[letter] for letter in letters}}
    columns |= {name: table[name] for letter in letters if table[name := f"{letter} sd"].notna().all()}
    for first, second in combinations(letters, 2):
        name = f"{second} - {first}"
        means, highs, words = (table[f"{name}{end}"] for end in ("", " high", " verdict"))
        columns[name] = [
            f"{mean:+.4f}" + ("" if math.isnan(high) else f" ± {high - mean:.4f}")
            for mean, high in zip(means, highs, strict=True)
        ]
        if verdicts:
            columns[f"{first} or {second}"] = list(words)
    return pd.DataFrame(columns)


def as_csv(table: pd.DataFrame) -> str:
    """The whole table as CSV; a policy's column has letter and name."""
    named = {letter: f"{letter} {name}" for letter, name in table.attrs["policies"].items()}
    return table.rename(columns=named).to_csv(index_label="case", lineterminator="\n")
