"""The list of mutants fits the code, and the tool that tries them tells a test that notices from one that does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs import ROOT
from mutate import Mutant, load_mutants, verdict

MUTANTS = load_mutants()


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name for mutant in MUTANTS])
def test_every_mutant_s_text_is_once_in_its_file_and_its_tests_are_there(mutant: Mutant) -> None:
    mutant.check((ROOT / mutant.file).read_text(encoding="utf-8"))
    assert mutant.tests and all((ROOT / test).is_file() for test in mutant.tests)


@pytest.mark.parametrize(
    ("old", "test", "expected"),
    [
        ("1 + 1", "assert two() == 2", "died"),
        ("1 + 1", "assert two() > 0", "survived"),
        ("1", "assert two() == 2", "Got: '1' 2 times in number.py. Expected: once, and another new text."),
        ("2 + 2", "assert two() == 2", "Got: '2 + 2' 0 times in number.py. Expected: once, and another new text."),
        ("1 + 1", None, "pytest exit code 4"),
    ],
)
def test_a_mutant_dies_by_a_failing_test_only(tmp_path: Path, old: str, test: str | None, expected: str) -> None:
    source = "def two():\n    return 1 + 1\n"
    (tmp_path / "number.py").write_text(source)
    if test:
        (tmp_path / "test_number.py").write_text(f"def test_two():\n    from number import two\n    {test}\n")
    (tmp_path / "conftest.py").write_text(f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\n")
    found = verdict(Mutant("two", "number.py", old, "1 + 2", ["test_number.py"]), tmp_path)
    assert found.startswith("two: the mutant does not fit its file. " if "Got" in expected else expected)
    assert expected in found
    assert (tmp_path / "number.py").read_text() == source
