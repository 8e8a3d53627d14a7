"""Finished units: found by all that they were made of, written whole, and as good as none where they are damaged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from traces.store import find, keep, once, path_of

MADE_OF = {"unit": "test", "policy": "abc", "cases": [["a", 1], ["b", 2]], "seed": 3}
RESULT = {"scores": [0.1, 1e-300, 100.0], "name": "é", "none": None}


def test_a_unit_is_measured_once(tmp_path: Path) -> None:
    calls: list[int] = []
    for _ in range(2):
        assert once(tmp_path / "units", MADE_OF, lambda: calls.append(1) or RESULT) == RESULT
    assert len(calls) == 1
    assert once(None, MADE_OF, lambda: calls.append(1) or RESULT) == RESULT and len(calls) == 2


def test_the_result_is_the_same_whether_it_was_kept_or_measured(tmp_path: Path) -> None:
    results = [once(folder, MADE_OF, lambda: {"pair": (1, 2.5)}) for folder in (None, tmp_path, tmp_path)]
    assert results == [{"pair": [1, 2.5]}] * 3


def test_a_file_says_what_it_was_made_of(tmp_path: Path) -> None:
    keep(tmp_path, MADE_OF, RESULT)
    unit = json.loads(path_of(tmp_path, MADE_OF).read_bytes())
    assert unit["made_of"] == MADE_OF and unit["result"] == RESULT


@pytest.mark.parametrize("changed", [{"policy": "abd"}, {"seed": 4}, {"cases": [["b", 2], ["a", 1]]}, {"new": None}])
def test_what_was_made_of_something_else_is_another_unit(tmp_path: Path, changed: dict[str, object]) -> None:
    keep(tmp_path, MADE_OF, RESULT)
    assert find(tmp_path, MADE_OF | changed) is None
    keep(tmp_path, MADE_OF | changed, "another")
    assert find(tmp_path, MADE_OF) == RESULT and find(tmp_path, MADE_OF | changed) == "another"


def test_the_order_of_what_it_was_made_of_makes_no_difference(tmp_path: Path) -> None:
    keep(tmp_path, MADE_OF, RESULT)
    assert find(tmp_path, dict(reversed(MADE_OF.items()))) == RESULT


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:-9],
        lambda content: b"\xff\xfe",
        lambda content: b"[]",
        lambda content: b"{}",
        lambda content: content.replace(b"100.0", b"101.0"),
        lambda content: content.replace(b'"seed": 3', b'"seed": 4'),
        lambda content: content.replace(b'"format": 1', b'"format": 0'),
    ],
)
def test_a_damaged_unit_is_measured_again(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    keep(tmp_path, MADE_OF, RESULT)
    other = keep(tmp_path, MADE_OF | {"seed": 4}, "other")
    file = path_of(tmp_path, MADE_OF)
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    assert damage(whole) != whole and find(tmp_path, MADE_OF) is None
    assert once(tmp_path, MADE_OF, lambda: RESULT) == RESULT and file.read_bytes() == whole
    assert find(tmp_path, MADE_OF | {"seed": 4}) == other
