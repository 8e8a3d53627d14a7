"""Calibration: published figures as files state them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from calibration_cases import table
from placement.errors import OrganizerError
from traces.calibration.published import (
    CELL_COLUMNS,
    CURVE_COLUMNS,
    ONCE_COLUMNS,
    Cell,
    Curve,
    Policy,
    read_curves,
    read_once,
    read_published,
    redeployed,
)

READERS = [
    (read_published, CELL_COLUMNS, "M,d,32,ds_eplb,256,none,1.75,0"),
    (read_once, ONCE_COLUMNS, "M,d,32,1024,1.5,700"),
    (read_curves, CURVE_COLUMNS, "M,d,32,static,5,1.5"),
]
Reader = Callable[[Path, str], Any]


def refusal(read: Reader, path: Path, columns: tuple[str, ...]) -> str:
    """What is wrong with a file, the rest of the error being as it must."""
    with pytest.raises(OrganizerError) as refused:
        read(path, "M/d")
    error = refused.value
    assert (error.what, error.where) == ("the published figures cannot be read", [str(path)])
    assert (error.expected, error.next_step) == (
        f"a CSV file with the columns {', '.join(columns)}",
        "correct the file",
    )
    return error.got


def test_published_figures_are_read_in_order_for_one_trace(tmp_path: Path) -> None:
    path = table(
        tmp_path / "published.csv",
        "M,d,64,ds_eplb,512,none,1.25,900",
        "M,d,32,static,,none,1.75,0",
        "M,d,32,ds_eplb,1024,none,1.5,700",
        "M,d,32,ds_eplb,256,none,1.4,800",
        "M,d,32,clairvoyant,256,none,1.1,9",
        "M,other,32,static,,none,2.75,0",
        "N,d,32,static,,none,2.75,0",
    )
    assert read_published(path, "M/d") == [
        Cell(Policy("ds_eplb", 32, 256), 1.4, 800),
        Cell(Policy("ds_eplb", 32, 1024), 1.5, 700),
        Cell(Policy("ds_eplb", 64, 512), 1.25, 900),
        Cell(Policy("static", 32, 0), 1.75, 0),
    ]


def test_figures_with_and_without_measured_latency_stand_beside_each_other(tmp_path: Path) -> None:
    rows = [f"M,d,{ep},ds_eplb,256,measured,1.5,800" for ep in (32, 64, 128, 256)]
    path = table(tmp_path / "published.csv", *rows, "M,d,32,ds_eplb,256,none,1.4,800")
    latencies = [(cell.policy.ep, cell.policy.latency) for cell in read_published(path, "M/d")]
    assert latencies == [(32, 0), (32, 7), (64, 12), (128, 25), (256, 45)]


def test_the_static_deployment_has_neither_window_nor_latency(tmp_path: Path) -> None:
    path = table(tmp_path / "published.csv", "M,d,32,static,256,measured,1.75,0")
    assert read_published(path, "M/d") == [Cell(Policy("static", 32, 0), 1.75, 0)]


def test_figures_of_a_policy_that_deploys_once_are_read(tmp_path: Path) -> None:
    rows = ("M,d,64,1024,1.5,700", "M,d,32,1024,1.25,600", "M,e,32,1024,1.25,600")
    assert read_once(table(tmp_path / "once.csv", *rows, columns=ONCE_COLUMNS), "M/d") == [
        Cell(Policy("once", 32, 1024), 1.25, 600),
        Cell(Policy("once", 64, 1024), 1.5, 700),
    ]


def test_curves_are_told_by_name_and_their_points_by_iteration(tmp_path: Path) -> None:
    rows = [
        *("M,d,32,static,15,1.5", "M,d,32,static,5,1.25", "M,d,64,static,5,2.5", "M,e,32,static,25,9"),
        *("M,d,32,ds_eplb,1085,1.125", "M,d,32,kept_from_first_128,195,1.25", "M,d,256,replanned_every_64,135,1.5"),
    ]
    assert read_curves(table(tmp_path / "curves.csv", *rows, columns=CURVE_COLUMNS), "M/d") == [
        Curve(Policy("ds_eplb", 32, 1024), (1085.0,), (1.125,)),
        Curve(Policy("ds_eplb", 256, 64), (135.0,), (1.5,)),
        Curve(Policy("once", 32, 128), (195.0,), (1.25,)),
        Curve(Policy("static", 32, 0), (5.0, 15.0), (1.25, 1.5)),
        Curve(Policy("static", 64, 0), (5.0,), (2.5,)),
    ]


@pytest.mark.parametrize(
    ("curve", "kept"),
    [
        ("static", (5, 160, 161, 188, 189, 1055, 1056, 1084, 1085)),
        ("kept_from_first_100", (161, 188, 189, 1055, 1056, 1084, 1085)),
        ("replanned_every_128", (189, 1055, 1056, 1084, 1085)),
        ("ds_eplb", (1085,)),
    ],
)
def test_points_before_the_redeployment_is_complete_are_left_out(
    tmp_path: Path, curve: str, kept: tuple[int, ...]
) -> None:
    rows = [f"M,d,32,{curve},{iteration},1.5" for iteration in (5, 160, 161, 188, 189, 1055, 1056, 1084, 1085)]
    (whole,) = read_curves(table(tmp_path / "curves.csv", *rows, columns=CURVE_COLUMNS), "M/d")
    (found,) = redeployed([whole._replace(mean_par=tuple(range(9)))])
    assert len(whole.iterations) == 9 and found.policy == whole.policy
    assert found.iterations == kept and found.mean_par == tuple(range(9 - len(kept), 9))


def test_a_curve_without_such_a_point_is_none() -> None:
    static = Curve(Policy("static", 32, 0), (5.0,), (1.5,))
    assert redeployed([Curve(Policy("ds_eplb", 32, 1024), (5.0,), (1.5,)), static]) == [static]


@pytest.mark.parametrize(("read", "columns", "row"), READERS)
def test_a_trace_without_figures_has_none(tmp_path: Path, read: Reader, columns: tuple[str, ...], row: str) -> None:
    path = table(tmp_path / "file.csv", row, columns=columns)
    assert len(read(path, "M/d")) == 1 and read(path, "M/e") == []


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("M,d,x,static,,none,1.75,0", "invalid literal for int() with base 10: 'x'"),
        ("M,d,32,static,,none,many,0", "could not convert string to float: 'many'"),
        ("M,d,32,static,,none,0.99,0", "mean_par must be a number of at least 1, got 0.99"),
        ("M,d,32,static,,none,nan,0", "mean_par must be a number of at least 1, got nan"),
        ("M,d,32,static,,none,1.75", "invalid literal for int() with base 10: ''"),
        ("M,d,32,ds_eplb,1.5,none,1.75,0", "invalid literal for int() with base 10: '1.5'"),
        ("M,d,32,ds_eplb,,none,1.75,0", "invalid literal for int() with base 10: ''"),
        ("M,d,32,ds_eplb,0,none,1.75,0", "a collection window must be at least 1, got 0"),
        ("M,d,32,ds_eplb,256,7,1.75,0", "latency_iterations must be none or measured, got '7'"),
        ("M,d,16,ds_eplb,256,measured,1.75,0", "ep 16 has no known measured latency, only 32, 64, 128, 256 have"),
    ],
)
def test_a_wrong_figure_is_named_with_its_file(tmp_path: Path, row: str, words: str) -> None:
    path = table(tmp_path / "published.csv", "M,d,32,static,,none,1.75,0", row)
    assert refusal(read_published, path, CELL_COLUMNS) == words


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("M,d,32,0,1.5,700", "a collection window must be at least 1, got 0"),
        ("M,d,32,1024,0,700", "mean_par must be a number of at least 1, got 0"),
        ("M,d,32,1024,1.5", "invalid literal for int() with base 10: ''"),
    ],
)
def test_a_wrong_figure_of_a_policy_that_deploys_once_is_named(tmp_path: Path, row: str, words: str) -> None:
    path = table(tmp_path / "once.csv", row, columns=ONCE_COLUMNS)
    assert refusal(read_once, path, ONCE_COLUMNS) == words


NAMES = "is no curve: static, ds_eplb, kept_from_first_N or replanned_every_N"


@pytest.mark.parametrize(
    ("curve", "words"),
    [
        ("statics", f"'statics' {NAMES}"),
        ("kept_from_first_", f"'kept_from_first_' {NAMES}"),
        ("kept_from_first_0", "a collection window must be at least 1, got 0"),
    ],
)
def test_a_wrong_curve_is_named(tmp_path: Path, curve: str, words: str) -> None:
    path = table(tmp_path / "curves.csv", f"M,d,32,{curve},5,1.5", columns=CURVE_COLUMNS)
    assert refusal(read_curves, path, CURVE_COLUMNS) == words


@pytest.mark.parametrize(
    ("read", "columns", "row", "missing"),
    [(*reader, column) for reader in READERS for column in reader[1]],
)
def test_a_missing_column_is_named(
    tmp_path: Path, read: Reader, columns: tuple[str, ...], row: str, missing: str
) -> None:
    others = tuple("x" if column == missing else column for column in columns)
    assert refusal(read, table(tmp_path / "file.csv", row, columns=others), columns) == f"no column {missing}"


@pytest.mark.parametrize(("read", "columns", "row"), READERS)
def test_what_is_no_table_is_refused(tmp_path: Path, read: Reader, columns: tuple[str, ...], row: str) -> None:
    path = tmp_path / "file.csv"
    assert refusal(read, path, columns) == f"[Errno 2] No such file or directory: '{path}'"
    path.write_bytes(b"")
    assert refusal(read, path, columns) == f"no column {', '.join(columns)}"
    path.write_bytes(b"\xff\xfe\x00\x01")
    assert refusal(read, path, columns).startswith("'utf-8' codec can't decode")
