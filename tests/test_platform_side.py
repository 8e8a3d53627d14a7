"""Which files run in the platform's environment: each is on one side, and a new one runs there until it is named."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path

import pytest

from conftest import ELSEWHERE, LONGEST, is_elsewhere
from docs import ROOT
from verification.steps import STEPS

FILES = sorted(path.name for path in Path(__file__).parent.glob("test_*.py"))


@pytest.mark.parametrize("pattern", ELSEWHERE)
def test_a_pattern_names_files_that_no_other_names(pattern: str) -> None:
    named = [name for name in FILES if fnmatch(name, pattern)]
    assert named and not [name for name in named for other in ELSEWHERE if other != pattern and fnmatch(name, other)]


@pytest.mark.parametrize("part", ["ingestion", "scoring", "kit", "kit_python", "replay", "a_new_one"])
def test_what_runs_on_the_platform_is_tested_there(part: str) -> None:
    assert not is_elsewhere(f"test_{part}.py")


def test_a_test_has_the_mark_of_its_file(request: pytest.FixtureRequest) -> None:
    marked = {item.path.name for item in request.session.items if item.get_closest_marker("platform")}
    assert marked == {item.path.name for item in request.session.items if not is_elsewhere(item.path.name)}
    assert Path(__file__).name in marked


def test_the_longest_files_are_there() -> None:
    assert set(LONGEST) <= set(FILES)


def test_ci_runs_both_sides() -> None:
    commands = {step.command for step in STEPS if step.ci}
    assert {"make test-platform", "make test-newest", "make test-dask"} <= commands
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    recipes = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert recipes.count("/bin/python -m pytest -m platform\n") == 2
