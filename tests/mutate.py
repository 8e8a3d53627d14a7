"""Breaks a copy of the code in one place at a time and sees whether tests notice: python tests/mutate.py [name ...]

mutants.yaml lists the places. Exit code 0: every mutant died; 1: one survived, or could not be tried.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import yaml

from docs import copy_tree

LIST = Path(__file__).resolve().parent / "mutants.yaml"
# By pytest's exit code, or None where the tests do not end. After any other the tests did not run.
VERDICTS = {0: "survived", 1: "died", None: "died: its tests do not end"}
# A mutant may loop for ever.
LONGEST_SECONDS = 600


@dataclass(frozen=True)
class Mutant:
    """One place to break: the text `old` of a file becomes `new`, and one of the test files must fail."""

    name: str
    file: str
    old: str
    new: str
    tests: list[str]

    def check(self, text: str) -> None:
        """Raise ValueError unless the old text is exactly once in the file's text, and the new one differs."""
        if text.count(self.old) != 1 or self.old == self.new:
            raise ValueError(
                f"{self.name}: the mutant does not fit its file. Got: {self.old!r} {text.count(self.old)} times in "
                f"{self.file}. Expected: once, and another new text. Next: write old and new after the present code."
            )


def load_mutants() -> list[Mutant]:
    """The mutants of mutants.yaml."""
    return [Mutant(name, **entry) for name, entry in yaml.safe_load(LIST.read_text(encoding="utf-8")).items()]


def run_tests(tree: Path, tests: list[str]) -> int | None:
    """pytest's exit code for some test files of a tree; None where they did not end."""
    command = [sys.executable, "-m", "pytest", "-x", "-n", "0", "-p", "no:cacheprovider", "--no-header", *tests]
    # A compiled module is taken for current when size and second are those of its source.
    options = {"cwd": tree, "env": os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}, "timeout": LONGEST_SECONDS}
    try:
        return subprocess.run(command, capture_output=True, check=False, **options).returncode
    except subprocess.TimeoutExpired:
        return None


def verdict(mutant: Mutant, tree: Path) -> str:
    """`died` or `survived`, or what kept it from being tried; the tree is left as it was."""
    path = tree / mutant.file
    text = path.read_text(encoding="utf-8")
    try:
        mutant.check(text)
    except ValueError as error:
        return str(error)
    try:
        path.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
        code = run_tests(tree, mutant.tests)
    finally:
        path.write_text(text, encoding="utf-8")
    return VERDICTS.get(code, f"pytest exit code {code}")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    mutants = {mutant.name: mutant for mutant in load_mutants()}
    parser = argparse.ArgumentParser(description="Break a copy of the code and see whether the tests notice.")
    parser.add_argument("names", nargs="*", metavar="name", help=f"mutants, default all of: {', '.join(mutants)}")
    names = parser.parse_args(arguments).names or list(mutants)
    if unknown := set(names) - set(mutants):
        parser.error(f"no such mutant: {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        tree = copy_tree(Path(folder) / "tree")
        tests = sorted({test for name in names for test in mutants[name].tests})
        if run_tests(tree, tests) != 0:
            parser.exit(1, f"the tests fail without a mutant. Next: {sys.executable} -m pytest {' '.join(tests)}\n")
        survived = 0
        for name in names:
            found = verdict(mutants[name], tree)
            survived += not found.startswith("died")
            print(f"{name:34} {found}", flush=True)
    return int(survived > 0)


if __name__ == "__main__":
    sys.exit(main())
