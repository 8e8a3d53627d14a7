"""Calibration: tables and the picture of what was found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from calibration_cases import CELLS, CURVE, CURVES, ONCE, STATIC_CURVE, TARGET, off_by
from traces.calibration.errors import Measurement, Target
from traces.calibration.published import Curve, Published
from traces.calibration.report import cell_table, draw_curves, group_table


def two_seeds() -> list[Measurement]:
    curves = [np.array([1.25, 1.5]), np.array([1.0, 3.0])], [np.array([1.25, 1.65]), np.array([1.0, 3.0])]
    return [
        Measurement(off_by(*parts), curve)
        for parts, curve in zip(((1, 1, 1, 1), (1.1, 1, 1.2, 0.9)), curves, strict=True)
    ]


def test_the_table_of_groups_says_how_far_off_one_trace_is_and_the_worst_figure() -> None:
    # Half of log 1.2 is 9.1 %; its root mean square beside a figure without error is 12.89 %.
    assert group_table(TARGET, two_seeds()).splitlines() == [
        "| figures | count | error % | by seed | worst | its error % |",
        "|---|---|---|---|---|---|",
        "| DS-EPLB and static | 2 | 6.45 | 0.00 12.89 | static, ep 32 | +9.1 |",
        "| without latency | 1 | 4.77 | 0.00 9.53 | ds_eplb, ep 32, window 256 | +4.8 |",
        "| once | 1 | 5.27 | 0.00 10.54 | once, ep 32, window 1024 | -5.3 |",
        f"| {CURVE} | 2 | 3.37 | 0.00 6.74 | iteration 1095 | +4.8 |",
        f"| {STATIC_CURVE} | 2 | 0.00 | 0.00 0.00 | iteration 5 | +0.0 |",
    ]


def test_the_worst_figure_is_the_farthest_off_either_way() -> None:
    curves = [np.array(curve.mean_par) for curve in CURVES]
    for delayed, static, worst in (
        (0.8, 1.1, "ds_eplb, ep 32, window 256, latency 7 | -22.3"),
        (0.9, 1.2, "static, ep 32 | +18.2"),
    ):
        line = group_table(TARGET, [Measurement(off_by(1, delayed, static, 1), curves)]).splitlines()[2]
        assert line.endswith(f"| {worst} |")


def test_the_table_of_cells_states_both_figures_and_errors_of_every_cell() -> None:
    assert cell_table(TARGET, two_seeds()).splitlines() == [
        "| figure | PAR published | generated | error % | standard deviation % "
        "| transmit published | generated | error % |",
        "|---|---|---|---|---|---|---|---|",
        "| ds_eplb, ep 32, window 256 | 1.2500 | 1.3125 | +5.0 | 6.7 | 1000 | 1050 | +5.0 |",
        "| ds_eplb, ep 32, window 256, latency 7 | 1.6000 | 1.6000 | +0.0 | 0.0 | 1000 | 1000 | +0.0 |",
        "| static, ep 32 | 2.0000 | 2.2000 | +10.0 | 12.9 | 0 | 0 |  |",
        "| once, ep 32, window 1024 | 1.5000 | 1.4250 | -5.0 | 7.4 | 500 | 475 | -5.0 |",
    ]


def test_one_seed_has_no_standard_deviation() -> None:
    line = cell_table(TARGET, two_seeds()[1:]).splitlines()[2]
    assert line == "| ds_eplb, ep 32, window 256 | 1.2500 | 1.3750 | +10.0 |  | 1000 | 1100 | +10.0 |"


def test_curves_are_drawn_and_equal_figures_give_equal_bytes(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    # One kind and three: the places of a row that no panel takes stay empty.
    for number, curves in enumerate(([CURVES[0]], [*CURVES, Curve(ONCE, (1085.0, 1095.0), (1.25, 1.5))])):
        target = Target(Published(CELLS, curves))
        drawn = [Measurement(off_by(1, 1, 1, 1), [np.array(curve.mean_par) for curve in curves])] * 2
        paths = [tmp_path / str(number) / name for name in ("a.png", "b.png")]
        for path in paths:
            draw_curves(path, target, drawn, "title")
        assert paths[0].read_bytes().startswith(b"\x89PNG") and paths[0].read_bytes() == paths[1].read_bytes()
