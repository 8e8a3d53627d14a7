"""What `make verify` runs, in order; continuous integration (`.ci/run`) runs the steps that say `ci`."""

from __future__ import annotations

from typing import NamedTuple

PYTHON = ".venv/bin/python"
CHECK = f"{PYTHON} tools/verify.py --check"
TESTS = r"(\d+ passed(?:, \d+ skipped)?)"
SCORE = r"(composite_score: [\d.]+)"
# Printed by the checks of this room.
FOUND = r"^found: (.*)$"


class Step(NamedTuple):
    """One command of the shell, started in the repository's top folder.

    figure: a pattern whose last match in the output goes into the table: a step that prints none has failed.
    needs: names in `needs.NEEDS`. seconds: how long the step may take, on a busy machine too.
    """

    name: str
    command: str
    figure: str
    needs: tuple[str, ...] = ()
    ci: bool = False
    seconds: int = 600


def _attacks(mode: str, needs: tuple[str, ...] = ()) -> Step:
    command = f"{PYTHON} tests/attacks/runner.py --mode {mode}"
    return Step(f"attacks-{mode}", command, r"^(\d+ attacks, .*)$", needs)


STEPS = (
    Step("style", "make style", r"(\d+ files) already formatted", ci=True),
    Step("types", "make types", r"(\d+ source files)", ci=True),
    # `.ci/run` calls this one itself.
    Step("tests", "make test", TESTS, seconds=1200),
    Step("guides", "make test-guides", TESTS, ci=True),
    Step("modes", "make test-modes", TESTS, ci=True),
    Step("platform", "make test-platform", TESTS, ("python3.12",), ci=True),
    Step("newest", "make test-newest", TESTS, ci=True),
    Step("dask", "make test-dask", TESTS, ci=True),
    Step("run", "make run", SCORE, ci=True),
    Step("gallery", f"{CHECK} gallery", FOUND, ci=True),
    Step("leaderboard", f"{PYTHON} tools/leaderboard.py --quick", r"(\d+ policies, \d+ traces)", ci=True),
    Step("benchmark", f"{PYTHON} tools/benchmark.py --quick", r"(Results are the same with --jobs 1, 2)", ci=True),
    # Not in CI: a processor without instructions for SHA-256 hashes several times slower.
    Step("bars", f"{CHECK} bars", FOUND),
    Step("bundle", "make bundle", r"(competition\.zip: \d+ bytes)", ci=True),
    Step("kit", f"{CHECK} kit", FOUND),
    Step("rehearsal", "make rehearse", SCORE, ("container",)),
    Step("reference", f"{CHECK} reference", FOUND),
    Step("docs", f"{PYTHON} -m pytest tests/test_docs.py tests/test_convert_docs.py tests/test_tutorial.py", TESTS),
    Step("browser", f"{PYTHON} -m pytest tests/test_*_browser.py", TESTS, ("chromium",)),
    _attacks("local"),
    _attacks("platform", ("container",)),
    _attacks("unprivileged", ("container",)),
    _attacks("old-landlock"),
    _attacks("without-landlock"),
    Step("benchmark-full", f"{PYTHON} tools/benchmark.py && {CHECK} bars", FOUND, ("disk",), seconds=1200),
)
