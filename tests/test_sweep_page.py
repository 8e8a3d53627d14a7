"""The page of a sweep: what is advised, what is drawn, and that nothing of a name becomes markup."""

from __future__ import annotations

import re
import xml.etree.ElementTree as tree
from typing import Any

import pandas as pd
import pytest

from sweeps.choice import choices
from sweeps.page import page
from sweeps.panels import parameter_panels, redundancy_panels, transmit_panels
from sweeps.plots import Panel, Series, draw, ticks
from sweeps.table import COLUMNS

COST = {"balanced_compute_seconds": 60.0, "expert_bytes": 1000, "bandwidth_bytes_per_second": 9e11}


def row(
    policy: str, redundant: int, seconds: float | None, score: float | None = 100.0, text: str = ""
) -> dict[str, Any]:
    """A case of Small/one, which failed where it has no seconds."""
    status = "ok" if seconds else "crashed"
    measured = {"mean_par": seconds / 60, "transmit_amount": 10 * redundant} if seconds else {}
    place = {"model": "Small", "dataset": "one", "ep": 4, "window": 3, "replica_bytes_per_device": redundant * 1e9}
    named = {"policy": policy, "redundant_experts": redundant, "parameters": text, "status": status}
    return dict.fromkeys(COLUMNS) | place | named | measured | {"modeled_seconds": seconds, "case_score": score}


def frame_of(*rows: dict[str, Any], values: dict[str, Any] | None = None) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    frame.attrs |= {"failed": [], "values": values or {"": {}}, "cost": COST}
    return frame


def test_the_fastest_is_named_and_the_fewest_replicas_that_come_close() -> None:
    frame = frame_of(row("a", 0, 80.0), row("a", 4, 70.5), row("b", 4, 70.3), row("b", 8, 70.0), row("c", 0, None))
    assert choices(frame) == [
        ("Small", "one", 4, 3, "fastest", "b", 8, 70 / 60, 80, 70.0, 8.0),
        ("Small", "one", 4, 3, "fewest replicas within 1%", "b", 4, 70.3 / 60, 40, 70.3, 4.0),
    ]


def test_nothing_is_advised_beside_a_fastest_case_with_the_fewest_replicas() -> None:
    assert [line[4] for line in choices(frame_of(row("a", 0, 70.0), row("a", 4, 70.1)))] == ["fastest"]


def test_par_is_drawn_against_redundancy_without_the_failed_cases() -> None:
    frame = frame_of(row("a", 8, 60.0), row("a", 0, 90.0), row("b", 0, None))
    (panel,) = redundancy_panels(frame)
    assert (panel.title, panel.series) == ("Small/one ep 4, window 3", [Series("a", [(0.0, 1.5), (8.0, 1.0)])])
    assert redundancy_panels(frame_of(row("a", 0, 90.0))) == []
    (panel,) = transmit_panels(frame)
    assert (panel.lines, panel.series) == (False, [Series("a", [(0.0, 1.5), (80.0, 1.0)])])


def test_the_score_is_drawn_against_a_parameter_that_has_several_numbers() -> None:
    values = {f"t={t}, k='x'": {"t": t, "k": "x"} for t in (2, 1)} | {"": {}}
    texts = [(text, score) for text, score in zip(values, (90.0, 80.0, 70.0), strict=True)]
    frame = frame_of(*(row("a", 0, 60.0, score, text) for text, score in texts), values=values)
    (panel,) = parameter_panels(frame, values)
    assert (panel.x, panel.series) == ("t", [Series("a k='x'", [(1, 80.0), (2, 90.0)])])


@pytest.mark.parametrize(
    ("values", "expected"),
    [([0, 10], [0, 2, 4, 6, 8, 10]), ([3], [3, 4]), ([1.02, 1.31], [1.0, 1.1, 1.2, 1.3, 1.4]), ([0], [0, 0.2])],
)
def test_ticks_are_round_and_hold_all_values(values: list[float], expected: list[float]) -> None:
    got = ticks(values)
    assert got[0] <= min(values) and got[-1] >= max(values)
    assert got[: len(expected)] == pytest.approx(expected)


def test_a_plot_has_a_mark_for_each_point_with_its_numbers() -> None:
    svg = tree.fromstring(draw(Panel("t", "x", "y", [Series("<a>", [(0, 1.0), (5, 2.0)]), Series("b", [(5, 1.5)])])))
    assert [title.text for title in svg.iter("title")] == [
        "<a>: x 0, y 1.0000",
        "<a>: x 5, y 2.0000",
        "b: x 5, y 1.5000",
    ]
    # Lowest left, and highest right.
    places = [group.get("transform") for group in svg.iter("g")]
    assert places[:2] == ["translate(62.0,210.0)", "translate(436.0,10.0)"]
    assert len(list(svg.iter("polyline"))) == 1


def test_the_page_has_all_cases_says_what_held_and_takes_no_name_for_markup() -> None:
    frame = frame_of(row("<b>a", 0, 90.0), row("<b>a", 4, 60.0), row("c", 0, None))
    frame.attrs["failed"] = ["c: Small/one ep 4 +0: <script>"]
    text = page(frame, "policies ran without the sandbox", {"numpy": "1"})
    assert "<b>a" not in text and "<script" not in text and "http" not in text
    assert "bandwidth_bytes_per_second 900000000000. For another model give <code>--cost expert_bytes=N</code>" in text
    assert "Policies ran without the sandbox." in text and "1 of the rows failed." in text
    assert len(re.findall(r"<svg viewBox=\"0 0 460", text)) == 2 and "<td>crashed</td>" in text
