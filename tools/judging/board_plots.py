"""The board's pictures, drawn by matplotlib, which is the extra `plots`."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any

from .board import CLAIRVOYANT, Row
from .board_page import mean_over_seeds, ranked

SETTINGS = {"svg.hashsalt": "leaderboard", "svg.fonttype": "none", "font.size": 9}
MARKERS = "osD^v<>Pp*XhH8d"


def draw(rows: Sequence[Row]) -> bytes | None:
    """The picture of a family as SVG, or None where matplotlib is not installed. Equal rows give equal bytes.

    Three panels: score by dataset; mean PAR against changed slots; score against the slowest call.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        return None
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(15.0, 5.0), layout="constrained")
        by_dataset, moves, seconds = figure.subplots(1, 3)
        names = list(dict.fromkeys(f"{row.model}/{row.dataset}" for row in rows))
        for number, (policy, own) in enumerate(ranked(rows).items()):
            marker, score = MARKERS[number % len(MARKERS)], mean_over_seeds(own)
            groups = [[row for row in own if f"{row.model}/{row.dataset}" == name] for name in names]
            means = [mean_over_seeds(group).mean for group in groups]
            by_dataset.plot(range(len(names)), means, marker=marker, linewidth=0.8, label=policy)
            if policy == CLAIRVOYANT:
                # Takes its colour from the others' panels as well: a policy has the same in all three.
                moves.plot([], []), seconds.plot([], [])
                continue
            slots = sum(row.transmit for row in own) / len({row.seed for row in own})
            moves.plot(slots, mean_over_seeds(own, lambda row: row.mean_par).mean, marker=marker, linestyle="")
            _with_interval(seconds, max(row.slowest_call_seconds for row in own), score, marker)
        by_dataset.set_xticks(range(len(names)), names, rotation=30, ha="right")
        by_dataset.set(ylabel="score", title="Score by dataset")
        moves.set(xlabel="changed slots of a seed", ylabel="mean PAR", title="PAR against transmit")
        seconds.set(xlabel="slowest call, s", ylabel="score", xscale="log", title="Score against seconds a call")
        figure.legend(loc="outside right upper")
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def _with_interval(axes: Any, x: float, score: Any, marker: str) -> None:
    half = 0.0 if math.isnan(score.high) else score.high - score.mean
    # A logarithmic axis has no 0, which a call of less than a millisecond is rounded to.
    axes.errorbar(max(x, 0.001), score.mean, yerr=half, marker=marker, linestyle="")
