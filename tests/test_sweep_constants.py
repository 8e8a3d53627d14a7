"""The constants of a policy.py: which there are, and how one is set to another value."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from commands.sweep_policies import joined, parameter
from placement.errors import Problem
from submissions import DECLINES, write_policy
from sweeps.constants import constants, with_constants
from sweeps.variants import variants

SOURCE = '''"""A policy."""
NOISE, ALONE = 1.0, 3  # of the noise; alone
WIDE: tuple = (0.0,
               0.5)
NAME = "ä"; THRESHOLD = -0.5
lower = 1
MADE = ALONE * 2
TWICE = 1
TWICE = 2
if NOISE:
    LATER = 3
'''


def test_plain_values_of_upper_case_names_are_constants() -> None:
    values = {name: constant.value for name, constant in constants(SOURCE).items()}
    assert values == {"NOISE": 1.0, "ALONE": 3, "WIDE": (0.0, 0.5), "NAME": "ä", "THRESHOLD": -0.5}


def test_a_source_that_is_no_python_has_none() -> None:
    assert constants("def :\n") == {}


def test_other_values_change_nothing_else() -> None:
    changed = with_constants(SOURCE, {"ALONE": 4, "WIDE": (1,), "THRESHOLD": 0.25})
    expected = SOURCE.replace("1.0, 3 ", "1.0, 4 ").replace("(0.0,\n               0.5)", "(1,)")
    assert changed == expected.replace("-0.5", "0.25")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a=0.5,0.8", [0.5, 0.8]),
        ("a=-1", [-1]),
        ("a=(0,1),(2,)", [(0, 1), (2,)]),
        ("a=None, True", [None, True]),
        ("a=mean,peak", ["mean", "peak"]),
    ],
)
def test_a_parameter_is_read_as_python_or_as_words(text: str, values: list[object]) -> None:
    assert parameter(text) == ("a", values)


@pytest.mark.parametrize("text", ["a", "a=", "=1", "a b=1"])
def test_what_is_no_parameter_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is not NAME=VALUE,VALUE"):
        parameter(text)


def test_a_variant_is_a_policy_of_its_own_that_can_be_packed(tmp_path: Path) -> None:
    folder = write_policy(tmp_path / "mine", "LIMIT, OTHER = 1, 2\n" + DECLINES, {"data.txt": "x"})
    made = variants("mine", folder, {"limit": [1, 3], "absent": [7]}, tmp_path / "written")
    assert [(each.title, each.parameters) for each in made] == [
        ("mine limit=1", "limit=1"),
        ("mine limit=3", "limit=3"),
    ]
    (same, changed) = sorted((tmp_path / "written").iterdir())
    assert (same / "policy.py").read_bytes() == (folder / "policy.py").read_bytes()
    assert (changed / "policy.py").read_text().startswith("LIMIT, OTHER = 3, 2\n")
    assert (changed / "data.txt").read_text() == "x"


def test_equal_files_are_one_policy_whatever_led_to_them(tmp_path: Path) -> None:
    folder = write_policy(tmp_path / "mine", "LIMIT = 1\n" + DECLINES)
    (plain,) = variants("mine", folder, {}, tmp_path)
    (same, other) = variants("mine", folder, {"limit": [1, 2]}, tmp_path)
    assert plain.sha256 == same.sha256 != other.sha256


def test_a_variant_has_no_file_that_its_policy_has_no_longer(tmp_path: Path) -> None:
    policy = write_policy(tmp_path / "policy", "A = 1\n", {"table.json": "1"})
    (with_table,) = variants("policy", policy, {"a": [2]}, tmp_path / "written")
    (policy / "table.json").unlink()
    (without,) = variants("policy", policy, {"a": [2]}, tmp_path / "written")
    assert set(without.files) == {"policy.py"} and without.sha256 != with_table.sha256


def test_a_value_that_is_given_twice_is_one(tmp_path: Path) -> None:
    policy = write_policy(tmp_path / "policy", "A = 1\n")
    given = joined([("a", [2, 3]), ("a", [3, 4])])
    made = variants("policy", policy, given, tmp_path / "written")
    assert [variant.values["a"] for variant in made] == [2, 3, 4]


def test_a_value_of_another_kind_is_refused(tmp_path: Path) -> None:
    folder = write_policy(tmp_path / "mine", "LIMIT = 0.5\n" + DECLINES)
    with pytest.raises(Problem) as refused:
        variants("mine", folder, {"limit": ["high"]}, tmp_path)
    assert str(refused.value) == (
        "a parameter of mine has a value of another kind. Got: limit='high'. "
        "Expected: a number, as LIMIT = 0.5 in its policy.py. Next: correct --parameter."
    )
