"""The picture of `compare`, drawn with matplotlib (the extra `plots`)."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .options import UsageError

if TYPE_CHECKING:
    import pandas as pd

FORMS = (".svg", ".png")
SETTINGS = {"svg.hashsalt": "compare", "svg.fonttype": "none", "font.size": 9}
MARKERS = "osD^v<>Pp*XhH8d"
INCHES_PER_ROW = 0.28


def check_plot(path: Path) -> None:
    """Raise UsageError for a picture that cannot be drawn. Called before anything runs."""
    if path.suffix not in FORMS:
        raise UsageError("--plot has an unknown ending", str(path), f"{' or '.join(FORMS)}", "correct --plot")
    if importlib.util.find_spec("matplotlib") is None:
        next_step = ".venv/bin/python -m pip install '.[plots]', or leave --plot out"
        raise UsageError("--plot needs matplotlib", "matplotlib is not installed", "the extra `plots`", next_step)


def draw(table: pd.DataFrame, form: str) -> bytes:
    """Draw the table of `compare`; form: one of FORMS. Equal tables give equal bytes.

    The picture has two panels with a line for each case and for the mean: the scores with their standard deviation over
    seeds, and the differences from the first policy with their 95 % interval.
    """
    import matplotlib
    from matplotlib.figure import Figure

    names = table.attrs["policies"]
    first, *others = names
    lines = np.arange(len(table))
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(11.0, 1.6 + INCHES_PER_ROW * len(table)), layout="constrained")
        scores, differences = figure.subplots(1, 2, sharey=True)
        for number, letter in enumerate(names):
            look = {"marker": MARKERS[number % len(MARKERS)], "color": f"C{number}", "linestyle": "", "capsize": 2}
            label = f"{letter}: {names[letter]}"
            scores.errorbar(table[letter], lines, xerr=table[f"{letter} sd"].fillna(0), label=label, **look)
            if letter in others:
                name = f"{letter} - {first}"
                half = (table[f"{name} high"] - table[name]).fillna(0)
                differences.errorbar(table[name], lines, xerr=half, **look)
        differences.axvline(0, color="grey", linewidth=0.8)
        scores.set_yticks(lines, table.index)
        scores.invert_yaxis()
        scores.set(xlabel="score, mean over seeds ± standard deviation")
        differences.set(xlabel=f"difference from {first}, 95 % interval")
        figure.legend(loc="outside upper left", ncols=2, frameon=False)
        buffer = io.BytesIO()
        figure.savefig(buffer, format=form.removeprefix("."), metadata={"Date": None} if form == ".svg" else None)
    return buffer.getvalue()
